import { FlowctlError } from "../../foundation/errors.ts";

/** Failures of a command that never got hold of the pipeline: another one has it. */
const NEVER_OURS: ReadonlySet<string> = new Set([
  "control/changed-since",
  "control/operation-under-way",
  "driver/other-folder",
]);

/** The same of one that had it: another one has taken over, or has taken it down. */
const NOT_OURS_ANY_MORE: ReadonlySet<string> = new Set([
  "control/operation-taken-over",
  "cli/pipeline-gone",
  "cli/taken-down",
]);

/** Whether another command sees to the pipeline now, or there is none: then a failed one has nothing to put right. */
export function isSomebodyElses(error: unknown): boolean {
  return wasNeverOurs(error) || (error instanceof FlowctlError && NOT_OURS_ANY_MORE.has(error.code));
}

/** Whether the pipeline is as another command has made it, and no command that failed so may remove it. */
export function wasNeverOurs(error: unknown): boolean {
  return error instanceof FlowctlError && NEVER_OURS.has(error.code);
}
