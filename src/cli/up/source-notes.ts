import { type BuiltinCatalog, builtinKey } from "../../pipeline/catalog.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { Partition, PipelineRecord } from "../../protocol/records.ts";

/** Where sources begin that do not simply go on: those of another name, and those that are to read something else. */
export function sourceNotes(
  pipeline: Pick<Pipeline, "components">,
  before: PipelineRecord | undefined,
  catalog: BuiltinCatalog,
): readonly string[] {
  return [...renamed(pipeline, before), ...readingAnother(pipeline, before, catalog)];
}

/** A new source beside one that is removed may be the same under another name, and positions belong to a name. */
function renamed({ components }: Pick<Pipeline, "components">, before: PipelineRecord | undefined): readonly string[] {
  const has = (list: readonly { readonly id: string }[], id: string): boolean => list.some((one) => one.id === id);
  const known = before?.components ?? [];
  const removed = known
    .filter(({ id, type, partitions = [] }) => type === "source" && !has(components, id) && partitions.some(isStarted))
    .map(({ id }) => id);
  if (removed.length === 0) return [];
  return components
    .filter(({ id, type }) => type === "source" && !has(known, id))
    .map(({ id }) => `source ${id} is new: it does not go on where ${removed.join(" or ")} was`);
}

function isStarted({ started }: { readonly started: boolean }): boolean {
  return started;
}

/**
 * Each built-in source that is to read something else than it did, as far as the control plane has kept that. Sources of other
 * images and commands say what they read only when they run.
 */
function readingAnother(
  pipeline: Pick<Pipeline, "components">,
  before: PipelineRecord | undefined,
  catalog: BuiltinCatalog,
): readonly string[] {
  return pipeline.components.flatMap(({ id, type, uses, with: settings }) => {
    const spec = uses === undefined ? undefined : catalog.get(builtinKey(type, uses));
    const known = before?.components.find((component) => component.id === id)?.partitions ?? [];
    const checked = spec?.schema.safeParse(settings);
    if (known.length === 0 || spec?.partitions === undefined || checked?.success !== true) return [];
    const wanted = spec.partitions(checked.data);
    const current = known.filter((partition) => partition.current);
    if (current.length === 0 || wanted.every((partition) => has(current, partition))) return [];
    const isKnown = wanted.some((partition) => has(known, partition) && startedOf(known, partition));
    const where = isKnown ? "it goes on where it was" : "it starts from the beginning";
    return [`source ${id} reads ${named(wanted)} instead of ${named(current)}: ${where}`];
  });
}

function has(list: readonly Partition[], { id, identity }: Partition): boolean {
  return list.some((one) => one.id === id && one.identity === identity);
}

function startedOf(known: readonly (Partition & { readonly started: boolean })[], partition: Partition): boolean {
  return known.some((one) => one.started && has([one], partition));
}

function named(partitions: readonly Partition[]): string {
  return [...new Set(partitions.map(({ identity, id }) => identity || id || "everything"))].join(", ");
}
