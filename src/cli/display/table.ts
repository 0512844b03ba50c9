import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import type { Output } from "./output.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "left" | "right";
  /** How soon the column is left out where the terminal is too narrow: the highest goes first. Without it, it always stays. */
  readonly rank?: number;
  /** What is done with its text where leaving out columns is not enough. Left out for ids and numbers, which stay whole. */
  readonly narrow?: "cut" | "wrap";
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

/**
 * Rows as aligned columns without borders. On a terminal that is too narrow, columns are left out: those in which no row says
 * anything first, then by rank. Then texts are cut or wrapped. Ids and numbers never are: a row that is still too long is wrapped by the terminal.
 */
export function renderTable<Row>(all: readonly Column<Row>[], rows: readonly Row[], output: Output): string {
  const available = (output.stdout.isTTY === true && output.stdout.columns) || Number.POSITIVE_INFINITY;
  const columns = fitting(
    all.map((column) => measure(column, rows)),
    available,
  );
  const table = new Table({
    head: columns.map(({ column }) => output.paint.bold(column.title)),
    colWidths: columns.map(({ width }) => width),
    colAligns: columns.map(({ column }) => column.align ?? "left"),
    chars: NO_BORDER,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    wordWrap: true,
  });
  table.push(...rows.map((_, row) => columns.map(({ cells }) => cells[row] as string)));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

interface Measured<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

/** Cells that say nothing. */
const EMPTY: ReadonlySet<string> = new Set(["", "-", "0"]);

/** What is added to the rank of a column in which no row says anything. */
const SAYS_NOTHING = 1_000;

/** What is left of a text, in characters, before other columns are left out in its favour. */
const SHORTEST_TEXT = 12;

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const cells = rows.map((row) => column.value(row));
  return { column, cells, width: Math.max(column.title.length, ...cells.map(printableLength)) };
}

function fitting<Row>(all: readonly Measured<Row>[], available: number): readonly Measured<Row>[] {
  const order = ({ column: { rank = Number.NEGATIVE_INFINITY }, cells }: Measured<Row>): number =>
    rank + (cells.every((cell) => EMPTY.has(strip(cell))) ? SAYS_NOTHING : 0);
  const kept = new Set<Measured<Row>>();
  let spare = available + GAP;
  for (const one of [...all].sort((a, b) => order(a) - order(b))) {
    const needed = GAP + least(one);
    // What matters less is not shown in place of what matters more.
    if (one.column.rank !== undefined && needed > spare) break;
    kept.add(one);
    spare -= needed;
  }
  return all
    .filter((one) => kept.has(one))
    .map((one) => {
      const width = Math.min(one.width, least(one) + Math.max(0, spare));
      spare -= width - least(one);
      return narrowed(one, width);
    });
}

const least = ({ column, width }: Measured<never>): number =>
  column.narrow === undefined ? width : Math.min(width, SHORTEST_TEXT);

function narrowed<Row>(one: Measured<Row>, width: number): Measured<Row> {
  if (width >= one.width) return one;
  const cut = (cell: string): string => (cell.length <= width ? cell : `${cell.slice(0, width - 1)}…`);
  return { ...one, width, cells: one.column.narrow === "cut" ? one.cells.map(cut) : one.cells };
}

const printableLength = (text: string): number => strip(text).length;

const strip = (text: string): string => stripVTControlCharacters(text);
