import type { PipelineRecord } from "../../protocol/records.ts";

/** Of a pipeline that its control plane has not been told: what is wrong, for people. */
export const UNTOLD =
  "the control plane does not know the pipeline, as it was restarted with --no-persistence or has only just started: components run on, but can neither register nor store their positions, and what hangs is not restarted";

/** Whether the control plane waits for a command that tells it what the pipeline is: components cannot register before. */
export function isUntold({ spec, components }: Pick<PipelineRecord, "spec" | "components">): boolean {
  return spec === undefined && components.length === 0;
}
