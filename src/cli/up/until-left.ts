import type { ProgressSink } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { instanceIdOf, type PlanStep, resourceOf } from "../../planner/plan.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";

/** How often the control plane is asked, in milliseconds. */
const POLL = 100;

export interface LeavingContext {
  readonly clock: Clock;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** What cannot be handed on may be given up. */
  readonly discard: boolean;
  /** Called while no control plane answers: waits for one. Rejects where that is in vain, or another command has taken over. */
  readonly reach: () => Promise<void>;
}

/**
 * Before a component or one of its instances is removed: waits until it has handed on everything that it holds, however
 * long that takes, and shows so. Before one is replaced or restarted: waits until edges that the file no longer has are drained,
 * since its successor would not feed them, unless that may be given up or it does not work. Resolves at once for every other step.
 *
 * Rejects as `reach` does, with `cli/cannot-leave` when what leaves was given up by the supervisor, and when the signal fires; what leaves goes
 * on leaving then, and the next `up` removes it.
 */
export async function untilLeft(
  { change }: PlanStep,
  access: Pick<ControlPlaneAccess, "record">,
  { clock, progress, signal, discard, reach }: LeavingContext,
): Promise<void> {
  const resource = resourceOf(change);
  const goes = change.action === "remove";
  const anew = change.action === "replace" || change.action === "restart";
  if (resource.kind !== "component" || !(goes || (anew && !discard))) return;
  for (let waited = false; ; waited = true) {
    const record = await access.record(signal);
    if (record !== undefined) {
      const { owner } = resource;
      const id = instanceIdOf(resource);
      const rest = goes ? leaves(record, owner, id) : feedsWhatDrains(record, owner) && works(record, owner, id);
      if (!rest) return;
      if (goes) refuseFailed(record, owner, id);
    }
    if (record === undefined) await reach();
    if (!waited) progress({ subject: resource.key, status: "working", text: "Draining" });
    await clock.sleep(POLL, signal);
  }
}

/** Whether the control plane refuses a change only for now: what has yet to leave, or to start, does so by itself. */
export function isForNow(error: unknown): boolean {
  return hasCode(error, "registry/still-leaving") || hasCode(error, "registry/still-starting");
}

/** Applies a changed pipeline as soon as what it names again, and what was removed before, has left, and what it removes has started. */
export async function onceLeft<T>(
  clock: Clock,
  progress: ProgressSink,
  signal: AbortSignal,
  apply: () => Promise<T>,
): Promise<T> {
  for (let waited = false; ; waited = true) {
    try {
      return await apply();
    } catch (error) {
      if (!isForNow(error)) throw error;
      if (!waited)
        progress({ subject: "pipeline", status: "working", text: `Waiting: ${(error as FlowctlError).message}` });
      await clock.sleep(POLL, signal);
    }
  }
}

function leaves({ draining = [] }: PipelineRecord, componentId: string, instanceId: string): boolean {
  return draining.some(
    (one) =>
      one.componentId === componentId && one.from === "" && (one.instanceId === "" || one.instanceId === instanceId),
  );
}

function feedsWhatDrains({ draining = [] }: PipelineRecord, componentId: string): boolean {
  return draining.some(({ from }) => from === componentId);
}

/** One that does not work delivers nothing: what it took comes again to its successor, and what is on its disk is kept for that. */
function works({ components }: PipelineRecord, componentId: string, instanceId: string): boolean {
  const instances = components.find(({ id }) => id === componentId)?.instances ?? [];
  return instances.some(({ id, state }) => id === instanceId && (state === "healthy" || state === "degraded"));
}

function refuseFailed({ name, components }: PipelineRecord, componentId: string, instanceId: string): void {
  const instances = components.find(({ id }) => id === componentId)?.instances ?? [];
  const failed = instances.find(({ id, state }) => id === instanceId && state === "failed");
  if (failed === undefined) return;
  throw new FlowctlError({
    code: "cli/cannot-leave",
    kind: "failed",
    message: `${instanceId} failed before it had delivered the events it holds: ${failed.reason}`,
    fix: `See \`flowctl logs -p ${name} ${instanceId}\`; \`flowctl up -p ${name} --discard\` discards them`,
  });
}
