import { relative } from "node:path";
import type { Problem } from "../problem.ts";
import type { Paint } from "./paint.ts";
import { harmless, plainPaint } from "./paint.ts";

export interface RenderProblemsOptions {
  /** Text of the files, by path, as a load returns them. Without a file's text its lines are not quoted. */
  readonly texts: ReadonlyMap<string, string>;
  /** Folder that paths are shown relative to, where that is shorter. Default: absolute paths. */
  readonly relativeTo?: string | undefined;
  readonly paint?: Paint | undefined;
}

/** A problem for machines: one flat object. */
export interface ProblemRecord {
  readonly code: string;
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly fix: string | null;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly path: string | null;
}

const widest = 120;

/**
 * A report for people: each problem with its place, the line it is on, a mark under the spot and what to do.
 * Ends with a newline unless there are no problems.
 */
export function renderProblems(problems: readonly Problem[], options: RenderProblemsOptions): string {
  const lines = new Map<string, readonly string[]>();
  return problems
    .map((problem) => {
      const { file } = problem.position;
      if (!lines.has(file)) lines.set(file, options.texts.get(file)?.split(/\r?\n/) ?? []);
      return `${renderProblem(problem, lines.get(file)?.[problem.position.line - 1], options).join("\n")}\n`;
    })
    .join("\n");
}

function renderProblem(problem: Problem, line: string | undefined, options: RenderProblemsOptions): readonly string[] {
  const paint = options.paint ?? plainPaint;
  const { position, severity } = problem;
  const place = `${shownPath(position.file, options.relativeTo)}:${position.line}:${position.column}`;
  const title = `${paint("place", harmless(place))}: ${paint(severity, severity)}: ${harmless(problem.message)} ${paint("code", `[${problem.code}]`)}`;
  const fix = problem.fix === undefined ? [] : [`  ${paint("fix", "fix:")} ${harmless(problem.fix)}`];
  if (line === undefined || line.trim() === "") return [title, ...fix];
  const number = String(position.line);
  const from = Math.max(0, position.column - 1 - Math.floor(widest / 2));
  const cutLeft = from > 0 && line.length > widest ? from : 0;
  const shown = line.slice(cutLeft, cutLeft + widest);
  const before = shown.slice(0, position.column - 1 - cutLeft).replaceAll(/[^\t]/g, " ");
  const marked = Math.min(Math.max(1, position.length ?? 1), Math.max(1, shown.length - before.length));
  return [
    title,
    `  ${paint("gutter", `${number} |`)} ${harmless(shown)}`,
    `  ${paint("gutter", `${" ".repeat(number.length)} |`)} ${before}${paint("caret", "^".repeat(marked))}`,
    ...fix,
  ];
}

/** The same report for machines, in the same order. */
export function problemRecords(problems: readonly Problem[], relativeTo?: string): readonly ProblemRecord[] {
  return problems.map((problem) => ({
    code: problem.code,
    severity: problem.severity,
    message: problem.message,
    fix: problem.fix ?? null,
    file: shownPath(problem.position.file, relativeTo),
    line: problem.position.line,
    column: problem.position.column,
    length: problem.position.length ?? 0,
    path: problem.path ?? null,
  }));
}

function shownPath(file: string, relativeTo: string | undefined): string {
  if (relativeTo === undefined || !file.startsWith("/")) return file;
  const near = relative(relativeTo, file);
  return near !== "" && near.length < file.length ? near : file;
}
