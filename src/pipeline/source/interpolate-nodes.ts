import type { KeyPath, ProblemList } from "../problem.ts";
import { interpolate } from "./interpolate.ts";
import type { Place } from "./source-file.ts";
import type { MapEntry, MapNode, ScalarNode, SourceNode } from "./source-node.ts";

/** In one value; it is mostly one mistake, such as a script without `$$`, over and over. */
const mostFindings = 20;

type Lookup = (variable: string) => string | undefined;

/**
 * Interpolates every value of a file, and no key. Problems are placed at the very expression. In the settings of a
 * component `${N}` without quotes is a number or a boolean when it looks like one, as in YAML; elsewhere the schema
 * takes texts for both.
 */
export function interpolateNodes(root: MapNode, lookup: Lookup, problems: ProblemList): MapNode {
  return interpolateMap(root, [], lookup, problems);
}

function interpolateMap(node: MapNode, path: KeyPath, lookup: Lookup, problems: ProblemList): MapNode {
  let changed = false;
  const entries = new Map<string, MapEntry>();
  for (const [key, entry] of node.entries) {
    const value = interpolateNode(entry.value, [...path, key], lookup, problems);
    changed ||= value !== entry.value;
    entries.set(key, value === entry.value ? entry : { ...entry, value });
  }
  return changed ? { ...node, entries } : node;
}

function interpolateNode(node: SourceNode, path: KeyPath, lookup: Lookup, problems: ProblemList): SourceNode {
  if (node.kind === "map") return interpolateMap(node, path, lookup, problems);
  if (node.kind === "list") {
    const items = node.items.map((item, index) => interpolateNode(item, [...path, index], lookup, problems));
    return items.some((item, index) => item !== node.items[index]) ? { ...node, items } : node;
  }
  return interpolateScalar(node, path, lookup, problems);
}

function interpolateScalar(node: ScalarNode, path: KeyPath, lookup: Lookup, problems: ProblemList): SourceNode {
  if (typeof node.value !== "string" || !node.value.includes("$")) return node;
  const { value, findings } = interpolate(node.value, lookup);
  for (const finding of findings.slice(0, mostFindings)) {
    problems.add(dollarPlace(node, finding.offset, finding.length), {
      ...finding,
      severity: finding.code === "pipeline/unset-variable" ? "warning" : "error",
      path,
    });
  }
  const typed = node.plain && path[2] === "with" ? retype(value) : value;
  const failed = findings.some((finding) => finding.code !== "pipeline/unset-variable");
  return { ...node, value: typed, text: value, interpolated: true, ...(failed ? { failed } : {}) };
}

/** The number or boolean that a text would be in YAML without quotes, or the text itself. */
export function retype(value: string): string | number | boolean {
  if (value === "true" || value === "false") return value === "true";
  return /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$/.test(value) && Number.isFinite(Number(value))
    ? Number(value)
    : value;
}

/**
 * The place of the dollar sign at `offset` of a value. Quoting and folding move characters about, but hardly ever
 * make or lose a dollar sign: the n-th of the value is the n-th of the source.
 */
function dollarPlace(node: ScalarNode, offset: number, length: number): Place {
  const { file, start, end } = node.place;
  const value = String(node.value);
  let dollars = 0;
  for (let at = value.indexOf("$"); at !== -1 && at < offset; at = value.indexOf("$", at + 1)) dollars++;
  let place = file.text.indexOf("$", start);
  while (dollars-- > 0 && place !== -1) place = file.text.indexOf("$", place + 1);
  if (place === -1 || place >= end) return node.place;
  return { file, start: place, end: Math.min(place + length, end) };
}
