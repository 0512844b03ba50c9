import type { KeyPath } from "../problem.ts";
import type { Place } from "./source-file.ts";

/** A YAML value that knows where it was written. Immutable; an aliased value is the same object at both places. */
export type SourceNode = ScalarNode | ListNode | MapNode;

/** Compose's tags for files that are merged over others: take the key away, or replace instead of merge. */
export type MergeTag = "reset" | "override";

export interface ScalarNode {
  readonly kind: "scalar";
  readonly place: Place;
  readonly value: string | number | boolean | null;
  /** As it was written, without quotes; differs from `value` for `0640` and `1.10`. */
  readonly text: string;
  /** Neither quoted nor a block. */
  readonly plain: boolean;
  /** Set when a variable was put in. */
  readonly interpolated?: true;
  /** Set when it was reported already that there is no such value; nothing more is to be said about it. */
  readonly failed?: true;
  readonly tag?: MergeTag;
}

export interface ListNode {
  readonly kind: "list";
  readonly place: Place;
  readonly items: readonly SourceNode[];
  readonly tag?: MergeTag;
}

export interface MapNode {
  readonly kind: "map";
  readonly place: Place;
  readonly entries: ReadonlyMap<string, MapEntry>;
  readonly tag?: MergeTag;
}

export interface MapEntry {
  readonly key: string;
  readonly keyPlace: Place;
  readonly value: SourceNode;
}

/** The plain value of a node, made of fresh objects. */
export function toPlain(node: SourceNode): unknown {
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(toPlain);
    case "map":
      return Object.fromEntries([...node.entries.values()].map((entry) => [entry.key, toPlain(entry.value)]));
  }
}

/** The node at `path`, or undefined. */
export function nodeAt(root: SourceNode, path: KeyPath): SourceNode | undefined {
  let node: SourceNode | undefined = root;
  for (const key of path) {
    if (node === undefined) return undefined;
    node = childOf(node, key);
  }
  return node;
}

/** Where the value at `path` is, or the deepest value above it that exists. */
export function valuePlace(root: SourceNode, path: KeyPath): Place {
  return deepest(root, path).node.place;
}

/** Where the key at `path` is; a value in a list, or one that does not exist, as in `valuePlace`, but at its key. */
export function keyPlace(root: SourceNode, path: KeyPath): Place {
  const { node, keyPlace: place } = deepest(root, path);
  return place ?? node.place;
}

function deepest(root: SourceNode, path: KeyPath): { node: SourceNode; keyPlace: Place | undefined } {
  let node = root;
  let place: Place | undefined;
  for (const key of path) {
    const child = childOf(node, key);
    if (child === undefined) break;
    place = node.kind === "map" ? node.entries.get(String(key))?.keyPlace : undefined;
    node = child;
  }
  return { node, keyPlace: place };
}

function childOf(node: SourceNode, key: string | number): SourceNode | undefined {
  if (node.kind === "map") return node.entries.get(String(key))?.value;
  if (node.kind === "list") return node.items[Number(key)];
  return undefined;
}
