import type { Driver, ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { makeTopology, topologyOf } from "../../pipeline/topology.ts";
import { executePlan } from "../../planner/execute.ts";
import { isEmpty, type Plan, type PlanStep } from "../../planner/plan.ts";
import { planDown, planStop } from "../../planner/plan-lifecycle.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import { announceEnd } from "./announce.ts";

export interface WindDownOptions {
  readonly driver: Driver;
  readonly pipeline: string;
  /** How far each component is from the sources: those stop first. */
  readonly depths: ReadonlyMap<string, number>;
  /** `remove` takes everything away, `stop` leaves it to be started again. */
  readonly mode: "stop" | "remove";
  /** With `remove`: volumes and state too. */
  readonly volumes: boolean;
  /** Only these, with `stop`. */
  readonly select: readonly string[];
  readonly access: ControlPlaneAccess;
  readonly clock: CliDependencies["clock"];
  readonly progress: ProgressSink;
  /** Fires when it is to end at once; what then still runs is killed. */
  readonly hurry: AbortSignal;
  /** Called when the graceful part is cut short. */
  readonly onHurry: () => void;
}

/**
 * Stops or removes a pipeline from its sources down, each instance within its grace period; when `hurry` fires, at
 * once. Returns the plan that it began with.
 */
export async function windDown(options: WindDownOptions): Promise<Plan> {
  const { driver, pipeline, hurry } = options;
  const never = new AbortController().signal;
  const plan = planFor(await driver.observe(pipeline, never), options);
  const base = {
    driver,
    clock: options.clock,
    progress: options.progress,
    beforeStep: (step: PlanStep) => announceEnd(step, options.access),
  };
  let graceful = false;
  if (!hurry.aborted) {
    try {
      await executePlan(plan, { ...base, signal: hurry });
      graceful = true;
    } catch (error) {
      if (!hurry.aborted || !(error instanceof FlowctlError && error.kind === "cancelled")) throw error;
    }
  }
  if (!graceful) options.onHurry();
  // What an interrupted step, or a flowctl that was killed, was just making may come into being a moment later; and what
  // was killed while it registered looks like a crash to the supervisor, which starts it again after its backoff.
  const looks = graceful ? (options.mode === "stop" ? 0 : 1) : options.mode === "stop" ? 14 : 2;
  for (let quiet = 0; quiet < looks; ) {
    const rest = planFor(await driver.observe(pipeline, never), { ...options, depths: new Map() });
    await executePlan(rest, { ...base, signal: never, force: true });
    quiet = isEmpty(rest) ? quiet + 1 : 0;
    if (quiet < looks) await options.clock.sleep(LATECOMERS);
  }
  return plan;
}

/** Between two looks for what comes into being late, in milliseconds. */
const LATECOMERS = 150;

function planFor(observed: readonly ObservedResource[], options: WindDownOptions): Plan {
  const { pipeline, depths, volumes, select } = options;
  if (options.mode === "stop") return planStop(pipeline, observed, select, { depths });
  return planDown(pipeline, observed, { depths, volumes });
}

/** How far each component is from the sources, by the file or, where there is none, by what the control plane knows. */
export function depthsOf(
  pipeline: Pick<Pipeline, "components"> | undefined,
  record: PipelineRecord | undefined,
): ReadonlyMap<string, number> {
  const topology =
    pipeline !== undefined
      ? topologyOf(pipeline)
      : makeTopology(
          Object.entries(record?.topology ?? {}).map(([id, { upstream }]) => ({
            id,
            inputs: upstream.map((from) => ({ from })),
          })),
        );
  return new Map(topology.ids.map((id) => [id, topology.depth(id)]));
}
