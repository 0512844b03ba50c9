import type { ApplyContext, Driver, ProgressSink } from "../../drivers/driver.ts";
import { instanceIdOf, type Plan, type PlanStep, resourceOf } from "../../planner/plan.ts";
import type { PipelineSpec } from "../../protocol/records.ts";
import type { PipelineOperation } from "./operation.ts";

export interface StopContext {
  readonly driver: Pick<Driver, "apply">;
  readonly operation: Pick<PipelineOperation, "desire">;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** The steps that remove what runs of sinks that the next spec does not have. */
export function removedSinks(plan: Plan, before: PipelineSpec | undefined, next: PipelineSpec): readonly PlanStep[] {
  const staying = new Set(next.components.map(({ id }) => id));
  const sinks = new Set(
    before?.components.flatMap(({ id, type }) => (type === "sink" && !staying.has(id) ? [id] : [])),
  );
  return plan.steps.filter(({ change }) => {
    if (change.action !== "remove" || change.observed.kind !== "component") return false;
    return sinks.has(change.observed.owner) && change.observed.state.status === "running";
  });
}

/**
 * Stops removed sinks while they are still part of the pipeline: each writes and acknowledges what it was sent, and ends its
 * streams itself. Removed from the topology first, they would be cut off in the middle, dial again and be refused, and both
 * sides would warn of that. To be called once the control plane would accept the change.
 */
export async function stopRemovedSinks(
  plan: Plan,
  steps: readonly PlanStep[],
  { driver, operation, progress, signal }: StopContext,
): Promise<void> {
  if (steps.length === 0) return;
  await operation.desire({ stopped: steps.map(({ change }) => instanceIdOf(resourceOf(change))) }, signal);
  const context: ApplyContext = { pipeline: plan.pipeline, signal, progress };
  await Promise.all(
    steps.map(async ({ change }) => {
      if (change.action !== "remove") return;
      const { observed, cause } = change;
      progress({ subject: observed.key, status: "working", text: "Stopping" });
      await driver.apply({ action: "stop", observed, cause }, context);
      progress({ subject: observed.key, status: "done", text: "Stopped" });
    }),
  );
}
