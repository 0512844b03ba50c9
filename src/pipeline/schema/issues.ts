import type { z } from "zod";
import type { KeyPath } from "../problem.ts";

type Issue = z.core.$ZodIssue;

/** A mistake of structure, stripped of what is particular to zod. */
export type StructureIssue =
  | { readonly kind: "unknown-keys"; readonly path: KeyPath; readonly keys: readonly string[] }
  /**
   * `expected` follows "must be", or is a sentence of its own where `sentence` is set; `choices` are the texts that are
   * allowed, where they can be listed.
   */
  | {
      readonly kind: "unexpected";
      readonly path: KeyPath;
      readonly expected: string;
      readonly sentence: boolean;
      /** A value of another kind was written, such as a list for a string. */
      readonly wrongType: boolean;
      readonly choices: readonly string[];
    };

/** Resolves unions: the branch whose kind of value was written says what is wrong inside it. */
export function structureIssues(issues: readonly Issue[], prefix: KeyPath = []): readonly StructureIssue[] {
  return issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path.map((key) => (typeof key === "number" ? key : String(key)))];
    if (issue.code === "unrecognized_keys") return [{ kind: "unknown-keys" as const, path, keys: issue.keys }];
    if (issue.code === "invalid_union") {
      const fitting = issue.errors.find((branch) => branch.length > 0 && branch.every(isInside));
      if (fitting !== undefined) return structureIssues(fitting, path);
    }
    return [
      {
        kind: "unexpected" as const,
        path,
        ...expectation(issue),
        choices: choicesOf(issue),
        wrongType: isWrongType(issue),
      },
    ];
  });
}

function isWrongType(issue: Issue): boolean {
  if (issue.code !== "invalid_union") return issue.code === "invalid_type";
  return issue.errors.every((branch) => branch.some((inner) => inner.path.length === 0 && isWrongType(inner)));
}

/** Whether the issue is about something in the value, so that the value itself is of the right kind. */
function isInside(issue: Issue): boolean {
  return issue.code === "unrecognized_keys" || issue.path.length > 0;
}

function choicesOf(issue: Issue): readonly string[] {
  if (issue.code === "invalid_union") return issue.errors.flat().flatMap(choicesOf);
  return issue.code === "invalid_value" ? issue.values.map(String) : [];
}

/** The schemas of the file say themselves what they expect; for those of components that do not, it is put together. */
function expectation(issue: Issue): { readonly expected: string; readonly sentence: boolean } {
  if (issue.message.startsWith("must be "))
    return { expected: issue.message.slice("must be ".length), sentence: false };
  if (issue.code === "custom") return { expected: issue.message, sentence: true };
  const isDefault = /^(?:Invalid |Too |Unrecognized)/.test(issue.message);
  if (!isDefault)
    return {
      expected: issue.message,
      sentence: !/^(?:an? |the |one of |`|empty|file permissions)/.test(issue.message),
    };
  return { expected: expectedBy(issue), sentence: false };
}

const typeNames: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "an integer",
  boolean: "`true` or `false`",
  array: "a list",
  tuple: "a list",
  object: "a mapping",
  record: "a mapping",
  null: "empty",
};

function expectedBy(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? `of type ${issue.expected}`;
    case "invalid_value":
      return issue.values.length === 1
        ? `\`${String(issue.values[0])}\``
        : `one of ${issue.values.map((value) => `\`${String(value)}\``).join(", ")}`;
    case "too_small":
      return bound(issue.origin, issue.minimum, issue.inclusive ? "at least" : "more than");
    case "too_big":
      return bound(issue.origin, issue.maximum, issue.inclusive ? "at most" : "less than");
    case "invalid_format":
      return issue.format === "url"
        ? "a URL"
        : issue.pattern
          ? `a string that matches ${issue.pattern}`
          : `a valid ${issue.format}`;
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "invalid_union": {
      const forms = new Set(
        issue.errors.flatMap((branch) => branch.slice(0, 1).map((first) => expectation(first).expected)),
      );
      return forms.size === 0 ? "in a different format" : [...forms].join(", or ");
    }
    default:
      return "in a different format";
  }
}

function bound(origin: string, limit: number | bigint, words: string): string {
  if (origin === "string")
    return Number(limit) === 1 && words === "at least"
      ? "a string that is not empty"
      : `a string of ${words} ${limit} characters`;
  if (origin === "array" || origin === "set") return `a list of ${words} ${limit} items`;
  return `${words} ${limit}`;
}
