import type { z } from "zod";
import { closest, listed } from "../../foundation/did-you-mean.ts";
import type { Finding, KeyPath, ProblemList } from "../problem.ts";
import { formatKeyPath } from "../problem.ts";
import type { Place } from "../source/source-file.ts";
import type { MapNode, SourceNode } from "../source/source-node.ts";
import { keyPlace, nodeAt, toPlain, valuePlace } from "../source/source-node.ts";
import type { StructureIssue } from "./issues.ts";
import { knownKeys } from "./known-keys.ts";
import { fixFor, isEmpty, meantChoice } from "./meant-value.ts";
import { manifestKey, otherName, unsupportedAdvice } from "./unsupported-keys.ts";

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
      if (problems.isFull) return [...owner, key];
      const path = [...owner, key];
      const extension = key.startsWith("x-") && base.length === 0;
      const action = actionAsKey(root, owner) === key ? { fix: meantAction(root, path) } : {};
      if (!extension) problems.add(keyPlace(root, path), { ...unknownKey(path, known), ...action, path });
      return path;
    });
  }
  const node = nodeAt(root, owner);
  if (node === undefined) {
    const parent = owner.slice(0, -1);
    if (isMisspelled(schema, root, base, issue.path) || actionAsKey(root, parent) !== undefined) return [parent];
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
  const guess =
    typeof value === "string" ? (meantChoice(value, issue.choices) ?? closest(value, issue.choices)) : undefined;
  problems.add(node.kind === "scalar" && node.text !== "" ? node.place : keyPlace(root, owner), {
    code: issue.wrongType ? "pipeline/wrong-type" : "pipeline/invalid-value",
    message: issue.sentence
      ? `${subject(owner)}: ${issue.expected}`
      : isEmpty(value)
        ? `${subject(owner)} is empty, but must be ${issue.expected.replace(/ that is not empty$/, "")}`
        : `${subject(owner)} must be ${issue.expected}, not ${describe(value)}`,
    fix:
      guess === undefined
        ? fixFor(
            owner,
            hasVariables(node) && !isEmpty(value) ? undefined : value,
            issue.sentence ? "another value" : issue.expected,
            issue.wrongType,
          )
        : `Did you mean \`${guess}\`?`,
    path: owner,
  });
  return [owner];
}

/** The key of a mapping at `on_error` that is an action without being its value, as in `on_error: { dead_letter: rejected }`. */
function actionAsKey(root: MapNode, owner: KeyPath): string | undefined {
  const node = owner.at(-1) === "on_error" ? nodeAt(root, owner) : undefined;
  if (node?.kind !== "map" || node.entries.has("action")) return undefined;
  return ["fail", "retry", "drop", "dead_letter"].find((action) => node.entries.has(action));
}

function meantAction(root: MapNode, path: KeyPath): string {
  const node = nodeAt(root, path);
  const to =
    path.at(-1) === "dead_letter" && node?.kind === "scalar" && typeof node.value === "string" ? node.value : undefined;
  return `Write \`on_error: { action: ${path.at(-1)}${to === undefined ? "" : `, to: ${to}`} }\`.`;
}

/** Whether a key that is missing is there under a name that is close to it, which is reported as unknown. */
function isMisspelled(schema: z.core.$ZodType, root: MapNode, base: KeyPath, path: KeyPath): boolean {
  const known = knownKeys(schema, path.slice(0, -1));
  const owner = nodeAt(root, [...base, ...path.slice(0, -1)]);
  const present = owner?.kind === "map" ? [...owner.entries.keys()] : [];
  return present.some((key) => !known.includes(key) && closest(key, known) === path.at(-1));
}

function placeOfOwner(root: MapNode, parent: KeyPath): Place {
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
  const foreign = owner.length === 0 ? manifestKey(key) : undefined;
  if (foreign !== undefined) return { code: "pipeline/unknown-key", message: `Unknown key \`${key}\``, fix: foreign };
  const isComponentKey = [
    "uses",
    "with",
    "inputs",
    "consumes",
    "produces",
    "on_error",
    "partition_by",
    "inherit_environment",
  ].includes(key);
  return {
    code: "pipeline/unknown-key",
    message: `Unknown key \`${key}\`${where}`,
    fix:
      path[0] === "services" && path.length === 3 && isComponentKey
        ? "Only components can have this key. Move the entry to `sources`, `processors` or `sinks`."
        : guess !== undefined
          ? `Did you mean \`${guess}\`?`
          : ((path[2] === "with" ? undefined : otherName(key)) ??
            (known.length === 0 ? "Remove it." : `Use one of ${listed(known.toSorted(), 40)}.`)),
  };
}

/** Whether a variable was put in anywhere in it, whose value is not to be shown once more. */
function hasVariables(node: SourceNode): boolean {
  if (node.kind === "scalar") return node.interpolated === true;
  if (node.kind === "list") return node.items.some(hasVariables);
  return [...node.entries.values()].some((entry) => hasVariables(entry.value));
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
  // Variables are interpolated by now: a password in a URL may stand in the file only as its name.
  const shown = value.replace(/(:\/\/)[^/?#@\s]*@/, "$1***@");
  return JSON.stringify(shown.length > 40 ? `${shown.slice(0, 40)}…` : shown);
}
