import type { ObservedResource, ResourceKey, ResourceKind } from "../drivers/driver.ts";

/** Kinds in the order in which they are made; removal goes the other way round. */
const KIND_ORDER: Readonly<Record<ResourceKind, number>> = {
  network: 0,
  volume: 0,
  "engine-access": 1,
  "control-plane": 1,
  service: 2,
  component: 3,
};

/** Orders by kind, then owner, then instance number. */
export function byKind(
  a: Pick<ObservedResource, "kind" | "owner" | "index">,
  b: Pick<ObservedResource, "kind" | "owner" | "index">,
): number {
  return (
    KIND_ORDER[a.kind] - KIND_ORDER[b.kind] || (a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : a.index - b.index)
  );
}

/** How early a kind is made, from 0. */
export function rankOf(kind: ResourceKind): number {
  return KIND_ORDER[kind];
}

/**
 * Sorts so that everything comes after its prerequisites, otherwise by kind, owner and number. Prerequisites that are
 * not among the items count as met. Items of a cycle keep their order by kind: what runs them reports it.
 */
export function topologicalOrder<
  T extends Pick<ObservedResource, "key" | "kind" | "owner" | "index"> & {
    readonly after: readonly { readonly key: ResourceKey }[];
  },
>(items: readonly T[]): readonly T[] {
  const byKey = new Map(items.map((item) => [item.key, item]));
  const placed = new Set<ResourceKey>();
  const result: T[] = [];
  const visit = (item: T, path: ReadonlySet<ResourceKey>): void => {
    if (placed.has(item.key) || path.has(item.key)) return;
    const inner = new Set(path).add(item.key);
    for (const { key } of item.after) {
      const before = byKey.get(key);
      if (before !== undefined) visit(before, inner);
    }
    if (placed.has(item.key)) return;
    placed.add(item.key);
    result.push(item);
  };
  for (const item of [...items].sort(byKind)) visit(item, new Set());
  return result;
}
