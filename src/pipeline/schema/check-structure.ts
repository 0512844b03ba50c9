import type { z } from "zod";
import { closest, listed } from "../did-you-mean.ts";
import type { Finding, KeyPath, ProblemList } from "../problem.ts";
import { formatKeyPath } from "../problem.ts";
import type { MapNode, SourceNode } from "../source/source-node.ts";
import { keyPlace, nodeAt, toPlain, valuePlace } from "../source/source-node.ts";
import type { StructureIssue } from "./issues.ts";
import { structureIssues } from "./issues.ts";
import { knownKeys } from "./known-keys.ts";
import type { PipelineFile } from "./pipeline-file.ts";
import { pipelineFileSchema } from "./pipeline-file.ts";
import { otherName, unsupportedAdvice } from "./unsupported-keys.ts";

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
    for (const issue of structureIssues(result.error.issues)) {
      for (const path of reportStructure(pipelineFileSchema, root, [], issue, problems)) {
        const gone = issue.kind === "unknown-keys" ? removeKey(plain, path) : removeAt(plain, path);
        if (gone !== undefined) removed.push(gone);
      }
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

/**
 * Reports one issue about the value at `base` and below, in our words, and returns the paths of what is wrong. The
 * paths of the issue start at `base`.
 */
export function reportStructure(
  schema: z.core.$ZodType,
  root: MapNode,
  base: KeyPath,
  issue: StructureIssue,
  problems: ProblemList,
): readonly KeyPath[] {
  const owner = [...base, ...issue.path];
  if (issue.kind === "unknown-keys") {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((key) => {
      const path = [...owner, key];
      const extension = key.startsWith("x-") && base.length === 0;
      if (!extension) problems.add(keyPlace(root, path), { ...unknownKey(path, known), path });
      return path;
    });
  }
  const node = nodeAt(root, owner);
  if (node === undefined) {
    const parent = owner.slice(0, -1);
    if (isMisspelled(schema, root, base, issue.path)) return [parent];
    const where = parent.length === 0 ? "" : ` in \`${formatKeyPath(parent)}\``;
    problems.add(parent.length === 0 ? valuePlace(root, parent) : placeOfOwner(root, parent), {
      code: "pipeline/missing-key",
      message: `\`${owner.at(-1)}\` is missing${where}`,
      fix: `Add \`${owner.at(-1)}\`: ${issue.expected}.`,
      path: owner,
    });
    return [parent];
  }
  const value = toPlain(node);
  const guess = typeof value === "string" ? closest(value, issue.choices) : undefined;
  problems.add(node.kind === "scalar" && node.text !== "" ? node.place : keyPlace(root, owner), {
    code: issue.wrongType ? "pipeline/wrong-type" : "pipeline/invalid-value",
    message: issue.sentence
      ? `${subject(owner)}: ${issue.expected}`
      : isEmpty(value)
        ? `${subject(owner)} is empty, and must be ${issue.expected.replace(/ that is not empty$/, "")}`
        : `${subject(owner)} must be ${issue.expected}, not ${describe(value)}`,
    fix:
      guess === undefined
        ? fixFor(owner, value, issue.sentence ? "another value" : issue.expected)
        : `Did you mean \`${guess}\`?`,
    path: owner,
  });
  return [owner];
}

/** Whether a key that is missing is there under a name that is close to it, which is reported as unknown. */
function isMisspelled(schema: z.core.$ZodType, root: MapNode, base: KeyPath, path: KeyPath): boolean {
  const known = knownKeys(schema, path.slice(0, -1));
  const owner = nodeAt(root, [...base, ...path.slice(0, -1)]);
  const present = owner?.kind === "map" ? [...owner.entries.keys()] : [];
  return present.some((key) => !known.includes(key) && closest(key, known) === path.at(-1));
}

function placeOfOwner(root: MapNode, parent: KeyPath) {
  return typeof parent.at(-1) === "number" ? valuePlace(root, parent) : keyPlace(root, parent);
}

function unknownKey(path: KeyPath, known: readonly string[]): Finding {
  const key = String(path.at(-1));
  const owner = path.slice(0, -1);
  const where = owner.length === 0 ? "" : ` in \`${formatKeyPath(owner)}\``;
  const advice = unsupportedAdvice(path);
  if (advice !== undefined) {
    return {
      code: "pipeline/unsupported-key",
      message: `The Compose key \`${key}\`${where} is not supported`,
      fix: advice,
    };
  }
  const guess = closest(key, known);
  const isComponentKey = ["uses", "with", "inputs", "consumes", "produces", "on_error", "partition_by"].includes(key);
  return {
    code: "pipeline/unknown-key",
    message: `\`${key}\` is not a known key${where}`,
    fix:
      path[0] === "services" && path.length === 3 && isComponentKey
        ? "Only components have it. Move this to `sources`, `processors` or `sinks`."
        : guess !== undefined
          ? `Did you mean \`${guess}\`?`
          : ((path[2] === "with" ? undefined : otherName(key)) ??
            (known.length === 0 ? "Remove it." : `Use one of ${listed(known.toSorted(), 40)}.`)),
  };
}

function subject(path: KeyPath): string {
  const last = path.at(-1);
  if (typeof last === "number") return `Item ${last + 1} of \`${formatKeyPath(path.slice(0, -1))}\``;
  return `\`${formatKeyPath(path)}\``;
}

/** A value in a message: short, and on one line. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
}

function isEmpty(value: unknown): boolean {
  return value === null || value === "";
}

function fixFor(path: KeyPath, value: unknown, expected: string): string {
  const key = typeof path.at(-1) === "string" ? String(path.at(-1)) : undefined;
  if (isEmpty(value)) return "Give it a value, or remove the key.";
  const scalar = typeof value === "number" || typeof value === "boolean";
  if (scalar && expected.startsWith("a text")) return `Put it in quotes: "${value}".`;
  if (scalar && expected.startsWith("a duration")) return `Add a unit: \`${key}: ${value}s\`.`;
  if (typeof value === "string" && /^\d+$/.test(value) && expected.startsWith("a duration"))
    return `Add a unit: \`${key}: ${value}s\`.`;
  if (!Array.isArray(value) && typeof value !== "object" && expected.startsWith("a list")) {
    return key === undefined ? "Write it as a list." : `Write \`${key}: [${value}]\`.`;
  }
  return `Write ${expected}.`;
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
  delete owner[String(last)];
  return target;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
