import type { KeyPath } from "../problem.ts";
import { buildAsMap, isListOrMap, itemIdentity, listAsMap } from "./merge-shapes.ts";
import type { ListNode, MapEntry, MapNode, SourceNode } from "./source-node.ts";

/** Lists that a later file replaces as a whole: each is one value that happens to have parts. */
const replacedLists = new Set(["command", "entrypoint", "test"]);

/** Lists that can be written as their only item. */
const singleOrList = new Set(["env_file", "tmpfs"]);

/**
 * Lays `over` on `base` by Compose's rules: mappings are merged by key, lists are joined, single values and `command`,
 * `entrypoint` and `healthcheck.test` are replaced, `!reset` takes a key away and `!override` replaces without merging.
 * Lists inside `with` are replaced, since only the component knows what they mean. Pure.
 */
export function mergeFiles(base: MapNode, over: MapNode): MapNode {
  return mergeMaps(base, over, []);
}

/** Carries out the `!reset` tags of a file that is not merged over anything, and forgets `!override`. */
export function applyResets(root: MapNode): MapNode {
  return mergeMaps({ ...root, entries: new Map() }, root, []);
}

function mergeMaps(base: MapNode, over: MapNode, path: KeyPath): MapNode {
  const entries = new Map<string, MapEntry>(base.entries);
  for (const [key, entry] of over.entries) {
    if (entry.value.tag === "reset") {
      entries.delete(key);
      continue;
    }
    const current = entries.get(key);
    const at = [...path, key];
    if (current === undefined || entry.value.tag === "override") {
      entries.set(key, { ...entry, value: withoutResets(entry.value, at) });
      continue;
    }
    entries.set(key, { ...entry, value: mergeValues(current.value, entry.value, at) });
  }
  return { kind: "map", place: over.entries.size === 0 ? base.place : over.place, entries };
}

function withoutResets(node: SourceNode, path: KeyPath): SourceNode {
  if (node.kind === "map") return mergeMaps({ ...node, entries: new Map() }, node, path);
  return node;
}

function mergeValues(base: SourceNode, over: SourceNode, path: KeyPath): SourceNode {
  const key = String(path.at(-1));
  if (over.kind === "scalar" && over.value === null && base.kind !== "scalar") return base;
  if (key === "build") return mergeSame(buildAsMap(base), buildAsMap(over), path);
  if (isListOrMap(key) && path.length > 1 && !path.includes("with") && base.kind !== over.kind) {
    const left = listAsMap(key, base);
    const right = listAsMap(key, over);
    if (left !== undefined && right !== undefined) return mergeMaps(left, right, path);
  }
  if (singleOrList.has(key) && path.length > 2) return mergeSame(asList(base), asList(over), path);
  return mergeSame(base, over, path);
}

function asList(node: SourceNode): SourceNode {
  return node.kind === "scalar" && node.value !== null ? { kind: "list", place: node.place, items: [node] } : node;
}

function mergeSame(base: SourceNode, over: SourceNode, path: KeyPath): SourceNode {
  if (base.kind === "map" && over.kind === "map") return mergeMaps(base, over, path);
  if (base.kind === "list" && over.kind === "list") return mergeLists(base, over, path);
  return over;
}

function mergeLists(base: ListNode, over: ListNode, path: KeyPath): SourceNode {
  const key = String(path.at(-1));
  if (path[2] === "with" || replacedLists.has(key)) return over;
  if (isListOrMap(key)) {
    const left = listAsMap(key, base);
    const right = listAsMap(key, over);
    if (left !== undefined && right !== undefined) return mergeMaps(left, right, path);
  }
  const items: SourceNode[] = [...base.items];
  const known = new Map<string, number>();
  base.items.forEach((item, index) => {
    const identity = itemIdentity(key, item);
    if (identity !== undefined) known.set(identity, index);
  });
  for (const item of over.items) {
    const identity = itemIdentity(key, item);
    const index = identity === undefined ? undefined : known.get(identity);
    if (index === undefined) items.push(item);
    else items[index] = item;
  }
  return { kind: "list", place: over.place, items };
}
