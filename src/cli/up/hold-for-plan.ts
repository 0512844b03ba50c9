import type { Driver, ProgressSink } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import { type ControlPlaneAccess, isAway } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import type { PipelineOperation } from "./operation.ts";
import { recordBefore } from "./record-before.ts";

/** What is known of a pipeline that is about to be changed. */
export interface Held {
  /** What its control plane was told. */
  readonly before?: PipelineRecord;
  /** Why its control plane, which is there, cannot be asked. */
  readonly away?: FlowctlError;
}

/**
 * Holds the operation where there is a control plane, which is waited for and brought back, and returns what that was told
 * by then: nobody else changes it any more, and nothing is planned without knowing how what runs was applied and what it holds.
 * Nothing was told where there is none, or it is new; `away` says why one that is there cannot be asked, unless it has to be `known`: a
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
): Promise<Held> {
  const { access, driver, deps, operation, progress } = by;
  if (!dryRun) {
    try {
      if (!(await operation.holdPersistently({ restartHung: true, progress }, signal))) return {};
    } catch (error) {
      if (signal.aborted || known || !(error instanceof FlowctlError && isAway(error))) throw error;
      return { away: error };
    }
  }
  const before = await recordBefore(access, await driver.observe(pipeline, signal), deps.clock, signal);
  return before === undefined ? {} : { before };
}
