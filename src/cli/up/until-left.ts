import type { ProgressSink } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { type PlanStep, resourceOf } from "../../planner/plan.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";

/** How often the control plane is asked, in milliseconds. */
const POLL = 100;

/**
 * Before a component or one of its instances is removed: waits until it has handed on everything that it holds, however
 * long that takes, and shows so. Resolves at once for every other step, and for what has nothing to hand on. Rejects when
 * the signal fires; what leaves goes on leaving then, and the next `up` removes it.
 */
export async function untilLeft(
  { change }: PlanStep,
  access: Pick<ControlPlaneAccess, "record">,
  context: { readonly clock: Clock; readonly progress: ProgressSink; readonly signal: AbortSignal },
): Promise<void> {
  const { key, kind, owner, index } = resourceOf(change);
  if (change.action !== "remove" || kind !== "component") return;
  for (let waited = false; ; waited = true) {
    const record = await access.record(context.signal);
    if (record !== undefined && !leaves(record, owner, `${owner}-${index}`)) return;
    if (!waited) context.progress({ subject: key, status: "working", text: "Draining" });
    await context.clock.sleep(POLL, context.signal);
  }
}

function leaves({ draining = [] }: PipelineRecord, componentId: string, instanceId: string): boolean {
  return draining.some(
    (one) =>
      one.componentId === componentId && one.from === "" && (one.instanceId === "" || one.instanceId === instanceId),
  );
}
