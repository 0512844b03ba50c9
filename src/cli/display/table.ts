import Table from "cli-table3";
import type { Output } from "./output.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "left" | "right";
}

const GAP = 2;
const NO_BORDER = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: " ".repeat(GAP),
};

/** Rows as aligned columns without borders. On a terminal the widest columns are cut so that a row stays one line. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], output: Output): string {
  const cells = rows.map((row) => columns.map((column) => column.value(row)));
  const natural = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map((row) => printableLength(row[i] as string))),
  );
  const available = output.stdout.isTTY === true ? output.stdout.columns || undefined : undefined;
  const table = new Table({
    head: columns.map(({ title }) => output.paint.bold(title)),
    colWidths: fit(natural, available),
    colAligns: columns.map(({ align }) => align ?? "left"),
    chars: NO_BORDER,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    wordWrap: false,
  });
  table.push(...cells);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Takes from the widest columns, one character at a time, until all fit. */
function fit(natural: readonly number[], available: number | undefined): number[] {
  const widths = [...natural];
  if (available === undefined) return widths;
  const gaps = GAP * (widths.length - 1);
  while (sum(widths) + gaps > available) {
    const widest = widths.indexOf(Math.max(...widths));
    if ((widths[widest] as number) <= 4) break;
    widths[widest] = (widths[widest] as number) - 1;
  }
  return widths;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

function printableLength(text: string): number {
  return text.replaceAll(/\x1b\[[0-9;]*m/g, "").length;
}
