import type { Clock } from "../../../foundation/clock.ts";
import type { Driver } from "../../driver.ts";
import { PROCESS_CAPABILITIES } from "../capabilities.ts";
import type { PipelinePaths } from "../home/paths.ts";
import type { Engine } from "../instance/engine.ts";
import { pipelineLogs } from "../logs.ts";
import { observePipeline } from "../observe.ts";

/** The part of a driver that a restart policy works with. */
export type SupervisedEngine = Pick<Driver, "name" | "capabilities" | "observe" | "apply" | "events" | "logs">;

/**
 * The engine as the driver of the process that it lives in. Its changes count as asked for by a policy: what somebody
 * removed meanwhile stays so. Events go back to the last look by `observe`, so that nothing falls between
 * looking and listening; some may thereby be told that had been seen already.
 */
export function engineDriver(engine: Engine, paths: PipelinePaths, clock: Clock): SupervisedEngine {
  let lookedAt = Number.POSITIVE_INFINITY;
  return {
    name: "process",
    capabilities: PROCESS_CAPABILITIES,
    observe(_pipeline, signal) {
      lookedAt = clock.now();
      return observePipeline(paths, signal);
    },
    apply: (change, { signal, force }) => engine.apply(change, { signal, force: force ?? false, byPolicy: true }),
    events: (_pipeline, signal) => engine.events(signal, lookedAt),
    logs: (_pipeline, options, signal) => pipelineLogs({ folder: paths.logs, clock }, options, signal),
  };
}
