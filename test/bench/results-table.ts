import { type Measured, median } from "./samples.ts";

/** One line of the table: a contender beside the baseline of the same run. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly measured: Measured;
  readonly baseline?: Measured;
}

/** Medians with ranges, and how many times the baseline each is. */
export function renderResults(rows: readonly Row[]): string {
  const head = ["measured", "unit", "median", "range", "n", "baseline", "median", "range", "times"];
  const body = rows.map(({ what, unit, measured, baseline }) => [
    `${what}: ${measured.name}`,
    unit,
    figure(median(measured.samples)),
    range(measured.samples),
    String(measured.samples.length),
    baseline?.name ?? "",
    baseline ? figure(median(baseline.samples)) : "",
    baseline ? range(baseline.samples) : "",
    baseline ? (median(measured.samples) / median(baseline.samples)).toFixed(2) : "",
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...body.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd();
  return [line(head), line(widths.map((width) => "─".repeat(width))), ...body.map(line)].join("\n");
}

function figure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en-US") : value.toFixed(1);
}

function range(samples: readonly number[]): string {
  return `${figure(Math.min(...samples))}–${figure(Math.max(...samples))}`;
}
