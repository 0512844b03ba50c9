import type { MapEntry, MapNode, ScalarNode, SourceNode } from "./source-node.ts";

/**
 * Keys that can be written as a list or as a mapping, and how an item of the list becomes an entry. Merged by key.
 * `assign` is `KEY=VALUE`, `host` also `HOST:IP`, `name` is a name alone.
 */
const listOrMap: Readonly<Record<string, "assign" | "host" | "name">> = {
  environment: "assign",
  labels: "assign",
  args: "assign",
  driver_opts: "assign",
  extra_hosts: "host",
  depends_on: "name",
  networks: "name",
};

/** Whether a list at this key is merged with a mapping, both as mappings. */
export function isListOrMap(key: string): boolean {
  return Object.hasOwn(listOrMap, key);
}

/** The long form of a list of `key`: entries keep the place of their item. Undefined when an item has no such form. */
export function listAsMap(key: string, node: SourceNode): MapNode | undefined {
  if (node.kind === "map") return node;
  const style = listOrMap[key];
  if (node.kind !== "list" || style === undefined) return undefined;
  const entries = new Map<string, MapEntry>();
  for (const item of node.items) {
    if (item.kind !== "scalar" || item.value === null) return undefined;
    const text = String(item.value);
    const at = style === "name" ? -1 : text.search(style === "host" ? /[=:]/ : /=/);
    const name = at === -1 ? text : text.slice(0, at);
    const rest = at === -1 ? null : text.slice(at + 1);
    const value: ScalarNode = { kind: "scalar", place: item.place, value: rest, text: rest ?? "", plain: false };
    const conditions: MapNode = {
      kind: "map",
      place: item.place,
      entries: new Map([
        ["condition", { key: "condition", keyPlace: item.place, value: literal("service_started", item) }],
      ]),
    };
    entries.set(name, { key: name, keyPlace: item.place, value: key === "depends_on" ? conditions : value });
  }
  return { kind: "map", place: node.place, entries };
}

/** What makes two items of a list the same, so that the later one replaces the earlier; by the key of the list. */
export function itemIdentity(key: string, item: SourceNode): string | undefined {
  switch (key) {
    case "inputs":
      return text(item) ?? field(item, "from");
    case "secrets":
    case "configs":
      return field(item, "target") ?? text(item) ?? field(item, "source");
    case "volumes":
      return volumeTarget(text(item)) ?? field(item, "target");
    case "ports":
      return (
        text(item) ?? ["target", "published", "host_ip", "protocol"].map((name) => field(item, name) ?? "").join("|")
      );
    case "env_file":
      return text(item) ?? field(item, "path");
    case "profiles":
    case "tmpfs":
    case "consumes":
    case "produces":
    case "cache_from":
      return text(item);
    default:
      return undefined;
  }
}

/** `build: ./folder` in its long form. */
export function buildAsMap(node: SourceNode): SourceNode {
  if (node.kind !== "scalar" || node.value === null) return node;
  const entry: MapEntry = { key: "context", keyPlace: node.place, value: node };
  return { kind: "map", place: node.place, entries: new Map([["context", entry]]) };
}

function volumeTarget(value: string | undefined): string | undefined {
  const parts = value?.split(":");
  return parts === undefined ? undefined : (parts[1] ?? parts[0]);
}

function text(node: SourceNode): string | undefined {
  return node.kind === "scalar" && node.value !== null ? String(node.value) : undefined;
}

function field(node: SourceNode, key: string): string | undefined {
  const value = node.kind === "map" ? node.entries.get(key)?.value : undefined;
  return value === undefined ? undefined : text(value);
}

function literal(value: string, at: SourceNode): ScalarNode {
  return { kind: "scalar", place: at.place, value, text: value, plain: false };
}
