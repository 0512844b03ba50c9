import type { Driver } from "../driver.ts";
import { PROCESS_CAPABILITIES } from "./capabilities.ts";
import type { Engine } from "./engine.ts";
import { observePipeline } from "./observe.ts";
import type { PipelinePaths } from "./paths.ts";

/** The part of a driver that a restart policy works with. */
export type SupervisedEngine = Pick<Driver, "name" | "capabilities" | "observe" | "apply" | "events">;

/**
 * The engine as the driver of the process that it lives in. Its changes count as asked for by a policy: what somebody
 * stopped or removed meanwhile stays so.
 */
export function engineDriver(engine: Engine, paths: PipelinePaths): SupervisedEngine {
  return {
    name: "process",
    capabilities: PROCESS_CAPABILITIES,
    observe: (_pipeline, signal) => observePipeline(paths, signal),
    apply: (change, { signal, force }) => engine.apply(change, { signal, force: force ?? false, byPolicy: true }),
    events: (_pipeline, signal) => engine.events(signal),
  };
}
