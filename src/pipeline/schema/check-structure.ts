import type { KeyPath, ProblemList } from "../problem.ts";
import type { MapNode, SourceNode } from "../source/source-node.ts";
import { structureIssues } from "./issues.ts";
import type { PipelineFile } from "./pipeline-file.ts";
import { pipelineFileSchema } from "./pipeline-file.ts";
import { reportStructure } from "./report-structure.ts";

/** What is left of a file after its mistakes of structure were reported and taken out. */
export interface Structure {
  readonly file: PipelineFile;
  /** Whether the value at `path`, or one above it, was taken out, so that nothing can be said about it. */
  tainted(path: KeyPath): boolean;
}

/**
 * Checks a merged file against the schema and reports every mistake. What is wrong is taken out, so that the rest can
 * be checked further in the same run. Undefined only when nothing is left.
 */
export function checkStructure(root: MapNode, problems: ProblemList): Structure | undefined {
  const plain = plainFile(root);
  const removed: KeyPath[] = [];
  for (const path of failedPaths(root, [])) {
    const gone = removeAt(plain, path.slice(0, path.length > 3 ? 3 : 2));
    if (gone !== undefined) removed.push(gone);
  }
  for (let round = 0; round < 12; round++) {
    const result = pipelineFileSchema.safeParse(plain);
    if (result.success) {
      return {
        file: result.data,
        tainted: (path) => removed.some((gone) => gone.every((key, index) => path[index] === key)),
      };
    }
    const missing: KeyPath[] = [];
    const before = removed.length;
    for (const issue of structureIssues(result.error.issues)) {
      if (problems.isFull) return undefined;
      for (const path of reportStructure(pipelineFileSchema, root, [], issue, problems)) {
        const gone = issue.kind === "unknown-keys" ? removeKey(plain, path) : removeAt(plain, path);
        if (gone === undefined) missing.push(path);
        else removed.push(gone);
      }
    }
    // What has to be there and was taken out before is all that is missing now: nothing can be said about what it belongs to.
    if (removed.length > before) continue;
    for (const path of missing) {
      const gone = removeAt(plain, path.slice(0, -1));
      if (gone !== undefined) removed.push(gone);
    }
  }
  return undefined;
}

/** Where values stand about which enough was said. */
function failedPaths(node: SourceNode, path: KeyPath): readonly KeyPath[] {
  if (node.kind === "scalar") return node.failed ? [path] : [];
  if (node.kind === "list") return node.items.flatMap((item, index) => failedPaths(item, [...path, index]));
  return [...node.entries.values()].flatMap((entry) => failedPaths(entry.value, [...path, entry.key]));
}

/** Where a number is taken as the text that was written: `1.10` is not `1.1` there, nor `0640` decimal. */
const textual = new Set(["environment", "labels", "args", "driver_opts"]);

/** The plain value that the schema is about. */
export function plainFile(root: MapNode): Record<string, unknown> {
  return toFile(root, []) as Record<string, unknown>;
}

function toFile(node: SourceNode, path: KeyPath): unknown {
  if (node.kind === "list") return node.items.map((item, index) => toFile(item, [...path, index]));
  if (node.kind === "map") {
    const entries = [...node.entries.values()];
    return Object.fromEntries(entries.map((entry) => [entry.key, toFile(entry.value, [...path, entry.key])]));
  }
  const asText = typeof node.value === "number" && path[2] !== "with";
  const owner = path.at(-2);
  if (asText && ((typeof owner === "string" && path.length > 3 && textual.has(owner)) || path.at(-1) === "mode")) {
    return node.text;
  }
  return node.value;
}

/** Takes away exactly the key at `path`. */
function removeKey(plain: Record<string, unknown>, path: KeyPath): KeyPath | undefined {
  let owner: unknown = plain;
  for (const key of path.slice(0, -1)) {
    if (Array.isArray(owner)) owner = owner[Number(key)];
    else owner = isObject(owner) ? owner[String(key)] : undefined;
  }
  if (!isObject(owner)) return undefined;
  delete owner[String(path.at(-1))];
  return path;
}

/** Takes away the value at `path`, or, from a list, the list, since the rest of it would move up. */
function removeAt(plain: Record<string, unknown>, path: KeyPath): KeyPath | undefined {
  const firstIndex = path.findIndex((key) => typeof key === "number");
  const target = firstIndex === -1 ? path : path.slice(0, firstIndex);
  let owner: unknown = plain;
  for (const key of target.slice(0, -1)) owner = isObject(owner) ? owner[String(key)] : undefined;
  const last = target.at(-1);
  if (last === undefined || !isObject(owner)) return undefined;
  if (!Object.hasOwn(owner, String(last))) return undefined;
  delete owner[String(last)];
  return target;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
