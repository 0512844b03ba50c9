import { type Measured, median } from "./samples.ts";

/** One line of the table: a contender beside the baseline of the same run. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly measured: Measured;
  readonly baseline?: Measured;
  /** What is aimed at: how many times the baseline where there is one, else the median. */
  readonly goal?: Goal;
}

export type Goal = { readonly atLeast: number } | { readonly atMost: number };

const HEAD = ["measured", "unit", "median", "range", "n", "baseline", "median", "range", "times", "range", "goal", ""];

/** Medians with ranges, how many times the baseline each is, and whether that is what was aimed at. */
export function renderResults(rows: readonly Row[]): string {
  const body = rows.map(cellsOf);
  const widths = HEAD.map((title, column) => Math.max(title.length, ...body.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  return [line(HEAD), line(widths.map((width) => "─".repeat(width))), ...body.map(line)].join("\n");
}

function cellsOf({ what, unit, measured, baseline, goal }: Row): readonly string[] {
  const ratios = baseline && ratiosOf(measured, baseline);
  return [
    `${what}: ${measured.name}`,
    unit,
    figure(median(measured.samples)),
    range(measured.samples, figure),
    String(measured.samples.length),
    baseline?.name ?? "",
    baseline ? figure(median(baseline.samples)) : "",
    baseline ? range(baseline.samples, figure) : "",
    ratios ? median(ratios).toFixed(2) : "",
    ratios ? range(ratios, (value) => value.toFixed(2)) : "",
    ...(goal ? [aim(goal), isMet(goal, median(ratios ?? measured.samples)) ? "met" : "MISSED"] : ["", ""]),
  ];
}

/**
 * Whether a row misses its goal beyond doubt: its median does, and every round but one is on the wrong side of the baseline. A machine that
 * others use as well gives single rounds any figure, and their median many.
 */
export function clearlyMissed({ measured, baseline, goal }: Required<Row>): boolean {
  const ratios = ratiosOf(measured, baseline);
  const worse = ratios.filter((ratio) => ("atLeast" in goal ? ratio < 1 : ratio > 1));
  return !isMet(goal, median(ratios)) && worse.length >= Math.max(1, ratios.length - 1);
}

/** Round by round, where both were measured in the same rounds: what slows the machine meanwhile slows both. */
function ratiosOf(measured: Measured, baseline: Measured): readonly number[] {
  if (measured.samples.length !== baseline.samples.length) return [median(measured.samples) / median(baseline.samples)];
  return measured.samples.map((sample, round) => sample / baseline.samples[round]!);
}

function aim(goal: Goal): string {
  return "atLeast" in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
}

function isMet(goal: Goal, value: number): boolean {
  return "atLeast" in goal ? value >= goal.atLeast : value <= goal.atMost;
}

function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function range(samples: readonly number[], show: (value: number) => string): string {
  return `${show(Math.min(...samples))}–${show(Math.max(...samples))}`;
}
