import type { Driver, ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { hasCode } from "../../foundation/errors.ts";
import { instanceIdOf, type Plan, type PlanStep, resourceOf } from "../../planner/plan.ts";
import type { PipelineSpec } from "../../protocol/records.ts";
import type { PipelineOperation } from "./operation.ts";

export interface StopContext {
  readonly driver: Pick<Driver, "apply" | "observe">;
  readonly operation: Pick<PipelineOperation, "desirePersistently">;
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
  // Wanted as before, so that the control plane starts them again where this command does not live to make the change.
  await operation.desirePersistently({ renewed: idsOf(steps) }, { progress }, signal);
  await all(steps, async (observed, cause) => {
    progress({ subject: observed.key, status: "working", text: "Stopping" });
    // Where the change cannot be made they are started again, and what is planned does not have their values.
    await driver.apply(
      { action: "stop", observed, cause, keepSecrets: true },
      { pipeline: plan.pipeline, signal, progress },
    );
    progress({ subject: observed.key, status: "done", text: "Stopped" });
  });
}

/**
 * How long those above a sink that has just stopped may take to say what they still owe to it, in milliseconds: two heartbeats and
 * some more.
 */
const TOLD_WITHIN = 25_000;
/** How often the control plane is asked meanwhile, in milliseconds. */
const POLL = 500;

/**
 * Makes the change for which sinks were stopped. What they have not acknowledged is known to the control plane by the next heartbeat of
 * those above; until then it may have to refuse the change, so that it is asked again for a while. Rejects as `apply` does.
 */
export async function onceTold<T>(clock: Clock, signal: AbortSignal, apply: () => Promise<T>): Promise<T> {
  const begun = clock.elapsed();
  for (;;) {
    try {
      return await apply();
    } catch (error) {
      if (!hasCode(error, "registry/would-lose-events") || clock.elapsed() - begun >= TOLD_WITHIN) throw error;
      await clock.sleep(POLL, signal);
    }
  }
}

/** How long what was stopped in vain may take to be started again, in milliseconds. */
const START_WITHIN = 30_000;

/**
 * Takes back `stopRemovedSinks` where the change could not be made: the sinks are part of the pipeline as before, and events wait
 * for them. Never rejects: what fails here is the lesser part of what has failed already.
 */
export async function startAgain(
  plan: Plan,
  steps: readonly PlanStep[],
  { driver, operation, progress }: Omit<StopContext, "signal">,
): Promise<void> {
  if (steps.length === 0) return;
  const signal = AbortSignal.timeout(START_WITHIN);
  try {
    await operation.desirePersistently({ started: idsOf(steps) }, { progress }, signal);
    const now = new Map((await driver.observe(plan.pipeline, signal)).map((one) => [one.key, one]));
    await all(steps, async ({ key }) => {
      const observed = now.get(key);
      if (observed === undefined || observed.state.status === "running") return;
      const cause = "the change could not be made";
      await driver.apply({ action: "start", observed, cause }, { pipeline: plan.pipeline, signal, progress });
      progress({ subject: key, status: "done", text: "Started again" });
    });
  } catch {
    for (const { change } of steps) {
      progress({ subject: resourceOf(change).key, status: "failed", text: "Could not be started again" });
    }
  }
}

const idsOf = (steps: readonly PlanStep[]): readonly string[] =>
  steps.map(({ change }) => instanceIdOf(resourceOf(change)));

/** Does it for what each step removes, and waits for all before it rejects with the first failure. */
async function all(
  steps: readonly PlanStep[],
  what: (observed: ObservedResource, cause: string) => Promise<void>,
): Promise<void> {
  const ended = await Promise.allSettled(
    steps.map(async ({ change }) => (change.action === "remove" ? what(change.observed, change.cause) : undefined)),
  );
  const failed = ended.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
