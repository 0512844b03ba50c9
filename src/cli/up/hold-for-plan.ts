import type { Driver } from "../../drivers/driver.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import type { PipelineOperation } from "./operation.ts";
import { recordBefore } from "./record-before.ts";

/**
 * Holds the operation where a control plane answers, and returns what that was told by then: nobody else changes it any more.
 * Undefined where none answers, or it was told nothing. A dry run only looks. Rejects with `control/operation-under-way`.
 */
export async function holdForPlan(
  by: {
    readonly access: ControlPlaneAccess;
    readonly driver: Pick<Driver, "observe">;
    readonly deps: Pick<CliDependencies, "clock">;
    readonly operation: Pick<PipelineOperation, "hold">;
  },
  pipeline: string,
  dryRun: boolean,
  signal: AbortSignal,
): Promise<PipelineRecord | undefined> {
  const { access, driver, deps, operation } = by;
  const look = async (): Promise<PipelineRecord | undefined> =>
    recordBefore(access, await driver.observe(pipeline, signal), deps.clock, signal);
  for (;;) {
    const seen = await look();
    if (dryRun) return seen;
    const observed = await driver.observe(pipeline, signal);
    // One that was told nothing yet may be told by another command at this moment.
    const answers = seen !== undefined || (access.hanging === undefined && hasControlPlane(observed));
    if (!answers) return undefined;
    // What was seen before it was held may be of before another command.
    if (await operation.hold({ takeOver: false }, signal)) return look();
    if (seen === undefined) return undefined;
  }
}

function hasControlPlane(observed: Awaited<ReturnType<Driver["observe"]>>): boolean {
  return observed.some(({ kind, state }) => kind === "control-plane" && state.status === "running");
}
