import type { SourcePosition } from "../foundation/errors.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Place } from "./source/source-file.ts";
import { positionOf } from "./source/source-file.ts";

/** One mistake in a pipeline file, or, as a warning, something that is probably not meant. Plain data. */
export interface Problem {
  /** Stable, `pipeline/kebab-slug`. */
  readonly code: string;
  /** `error` keeps the pipeline from being loaded, `warning` does not. */
  readonly severity: "error" | "warning";
  /** One sentence without a trailing period. */
  readonly message: string;
  /** What to do about it, as an instruction. */
  readonly fix?: string;
  readonly position: SourcePosition;
  /** Where in the resolved file, such as `sinks.archive.inputs[0]`. Absent for problems of the text itself. */
  readonly path?: string;
}

/** Keys and indexes from the top of a pipeline file down to a value. */
export type KeyPath = readonly (string | number)[];

/** What a check says about one place. */
export interface Finding {
  readonly code: string;
  readonly message: string;
  readonly fix?: string | undefined;
  readonly severity?: "error" | "warning";
  readonly path?: KeyPath | undefined;
}

/** Nobody fixes more than this in one go, and each costs time to work out. */
const mostProblems = 500;

/**
 * Collects the problems of one load, up to a bound. Files are ordered as they were first reported to it by `order`.
 */
export class ProblemList {
  readonly #problems = new Map<string, Problem>();
  readonly #fileOrder = new Map<string, number>();

  /** Fixes the place of `file` in the order of the report. */
  order(file: string): void {
    if (!this.#fileOrder.has(file)) this.#fileOrder.set(file, this.#fileOrder.size);
  }

  /** Adds a problem at `place`; the same problem at the same place is kept once. */
  add(place: Place, finding: Finding): void {
    if (this.isFull) return;
    const position = positionOf(place);
    this.order(position.file);
    const problem: Problem = {
      code: finding.code,
      severity: finding.severity ?? "error",
      message: finding.message,
      ...(finding.fix === undefined ? {} : { fix: finding.fix }),
      position,
      ...(finding.path === undefined || finding.path.length === 0 ? {} : { path: formatKeyPath(finding.path) }),
    };
    const key = `${position.file}:${position.line}:${position.column}:${problem.code}:${problem.message}`;
    if (this.#problems.has(key)) return;
    this.#problems.set(key, this.#problems.size === mostProblems - 1 ? furtherProblems(problem) : problem);
  }

  /** Whether further problems are dropped, so that they need not be worked out. */
  get isFull(): boolean {
    return this.#problems.size >= mostProblems;
  }

  get hasErrors(): boolean {
    for (const problem of this.#problems.values()) if (problem.severity === "error") return true;
    return false;
  }

  /** All problems, by file, line, column and code. */
  sorted(): readonly Problem[] {
    const rank = (problem: Problem) => this.#fileOrder.get(problem.position.file) ?? 0;
    return [...this.#problems.values()].sort(
      (a, b) =>
        rank(a) - rank(b) ||
        a.position.line - b.position.line ||
        a.position.column - b.position.column ||
        (a.code < b.code ? -1 : a.code > b.code ? 1 : 0),
    );
  }
}

function furtherProblems({ position }: Problem): Problem {
  return {
    code: "pipeline/too-many-problems",
    severity: "error",
    message: `More than ${mostProblems} problems; the rest are not shown`,
    fix: "Fix these first.",
    position,
  };
}

/** `["sinks", "a", "inputs", 0]` → `sinks.a.inputs[0]`. */
export function formatKeyPath(path: KeyPath): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (/^[\w-]+$/.test(key)) text += text === "" ? key : `.${key}`;
    else text += `[${JSON.stringify(key)}]`;
  }
  return text;
}

/**
 * One error for a whole report: code `pipeline/invalid`, kind `invalid`, the position of the first error, and the
 * problems as its cause. For callers that have no better way to show a report than to throw it.
 */
export function problemsError(problems: readonly Problem[]): FlowctlError {
  const errors = problems.filter((problem) => problem.severity === "error");
  const first = errors[0];
  const rest = errors.length - 1;
  const more = rest > 0 ? ` (and ${rest} more ${rest === 1 ? "problem" : "problems"})` : "";
  return new FlowctlError({
    code: "pipeline/invalid",
    kind: "invalid",
    message: first === undefined ? "The pipeline file is not valid" : `${first.message}${more}`,
    ...(first?.fix === undefined ? {} : { fix: first.fix }),
    ...(first === undefined ? {} : { position: first.position }),
    ...(first?.path === undefined ? {} : { path: first.path }),
    cause: problems,
  });
}
