import type { Driver, ProgressSink } from "../../drivers/driver.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import { type ControlPlaneAccess, isAway } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import type { PipelineOperation } from "./operation.ts";
import { recordBefore } from "./record-before.ts";

/**
 * Holds the operation where there is a control plane, which is waited for and brought back, and returns what that was told
 * by then: nobody else changes it any more, and nothing is planned without knowing how what runs was applied and what it holds.
 * Undefined where there is none, or it was told nothing; also where it cannot be brought back, unless it has to be `known`: a
 * plan may be what puts it right. A dry run only looks. Rejects with `control/operation-under-way`.
 */
export async function holdForPlan(
  by: {
    readonly access: ControlPlaneAccess;
    readonly driver: Pick<Driver, "observe">;
    readonly deps: Pick<CliDependencies, "clock">;
    readonly operation: Pick<PipelineOperation, "holdPersistently">;
    readonly progress: ProgressSink;
  },
  pipeline: string,
  { dryRun, known }: { readonly dryRun: boolean; readonly known: boolean },
  signal: AbortSignal,
): Promise<PipelineRecord | undefined> {
  const { access, driver, deps, operation, progress } = by;
  if (!dryRun) {
    try {
      if (!(await operation.holdPersistently({ restartHung: true, progress }, signal))) return undefined;
    } catch (error) {
      if (signal.aborted || known || !isAway(error)) throw error;
      return undefined;
    }
  }
  return await recordBefore(access, await driver.observe(pipeline, signal), deps.clock, signal);
}
