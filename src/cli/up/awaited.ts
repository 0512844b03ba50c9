import type { PipelineRecord } from "../../protocol/records.ts";

/** The instances that are neither healthy nor completed, each with its state and, where it is known, why. */
export function awaited(record: PipelineRecord): readonly string[] {
  return record.components.flatMap(({ id, instances, desiredInstances }) => {
    const unwell = instances
      .filter(({ state }) => state !== "healthy" && state !== "completed")
      .map(({ id: instance, state, reason }) => `${instance} is ${state}${reason === "" ? "" : ` (${reason})`}`);
    const missing = desiredInstances - instances.length;
    return missing <= 0 ? unwell : [...unwell, `${missing} of ${id} not started yet`];
  });
}

/** `awaited` in one line: the first few, and how many more there are. */
export function awaitedInWords(record: PipelineRecord, most = 3): string {
  const all = awaited(record);
  const more = all.length - most;
  return all.slice(0, most).join(", ") + (more > 0 ? `, and ${more} more` : "");
}
