import { FlowctlError } from "../../foundation/errors.ts";
import { type Plan, type PlanStep, resourceOf } from "../../planner/plan.ts";
import type { InstanceReport, PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";

/** How long the control plane may take to hear of one thing, in milliseconds. */
const ANNOUNCEMENT = 1_000;

/**
 * Tells the control plane that the instance which a step ends is ended on purpose, so that its end is not taken for a
 * crash and it is not started again. Does nothing for other steps, nor when no control plane answers.
 */
export async function announceEnd({ change }: PlanStep, access: ControlPlaneAccess): Promise<void> {
  if (change.action === "create" || change.action === "start") return;
  const goesOn = change.action === "replace" || change.action === "restart";
  if (goesOn && change.observed.state.status === "exited") return;
  const { kind, owner, index } = resourceOf(change);
  if (kind !== "component") return;
  await announce({ componentId: owner, instanceId: `${owner}-${index}`, observation: "stopping" }, access);
}

/**
 * Tells the control plane which completed instances a plan is about to start again, all before the first of them is:
 * one that runs again earlier than what is above it would take that for completed still, and complete at once. `record`
 * is the pipeline as it is now.
 */
export async function announceStarts(
  plan: Plan,
  record: PipelineRecord | undefined,
  access: ControlPlaneAccess,
): Promise<void> {
  const completed = new Set(
    (record?.components ?? []).flatMap(({ instances }) =>
      instances.filter(({ state }) => state === "completed").map(({ id }) => id),
    ),
  );
  for (const { change } of plan.steps) {
    const { kind, owner, index } = resourceOf(change);
    const instanceId = `${owner}-${index}`;
    if (kind !== "component" || change.action === "remove" || change.action === "stop") continue;
    if (completed.has(instanceId)) await announce({ componentId: owner, instanceId, observation: "started" }, access);
  }
}

async function announce(report: InstanceReport, access: ControlPlaneAccess): Promise<void> {
  try {
    await access.call(AbortSignal.timeout(ANNOUNCEMENT), (client, signal) => client.reportInstance(report, signal));
  } catch (error) {
    // A pipeline can be changed without a control plane, which then restarts nothing either.
    if (!(error instanceof FlowctlError)) throw error;
  }
}
