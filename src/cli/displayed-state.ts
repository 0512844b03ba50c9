import type { PipelineRecord } from "../protocol/records.ts";

/**
 * The state of a pipeline as people are told it. The control plane calls it stopping as long as nothing of it is to run; once nothing
 * of it does, that is over.
 *
 * @param running Components of which anything runs.
 */
export function displayedState({ state }: Pick<PipelineRecord, "state">, running: ReadonlySet<string>): string {
  return state === "stopping" && running.size === 0 ? "stopped" : state;
}
