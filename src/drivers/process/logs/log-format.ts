import type { LogLine } from "../../driver.ts";

/**
 * The log of an instance is three files: `<instance>.out` and `<instance>.err`, the *spools*, which the program writes to by
 * itself, so that nobody's death stops or blocks it; and `<instance>.log`, to which the supervisor copies their lines with
 * time and stream. A line of the log is
 *
 *     <Unix ms> o|e <end of the line in its spool, in bytes> <text>
 *
 * Where the spools were read to is thereby part of the log itself: after a crash nothing is lost and nothing doubled.
 * A line `<Unix ms> c <out>,<err>` states both positions; every file begins with one. `z` in place of `c` says that a spool
 * was emptied, which alone takes positions back.
 */
export type LogEntry =
  | {
      readonly type: "line";
      readonly time: number;
      readonly stream: LogLine["stream"];
      readonly end: number;
      readonly text: string;
    }
  | { readonly type: "positions"; readonly emptied: boolean; readonly positions: SpoolPositions };

/** How far each spool was read, in bytes. */
export interface SpoolPositions {
  readonly stdout: number;
  readonly stderr: number;
}

export const STREAMS = ["stdout", "stderr"] as const satisfies readonly LogLine["stream"][];

/** The name of the spool of a stream. */
export function spoolName(instance: string, stream: LogLine["stream"]): string {
  return `${instance}.${stream === "stdout" ? "out" : "err"}`;
}

/** The names of the log's files, newest first. */
export function logNames(instance: string): readonly [string, ...string[]] {
  return [`${instance}.log`, `${instance}.log.1`, `${instance}.log.2`];
}

export function formatLine(time: number, stream: LogLine["stream"], end: number, text: string): string {
  return `${time} ${stream === "stdout" ? "o" : "e"} ${end} ${text}\n`;
}

export function formatPositions(time: number, positions: SpoolPositions, emptied: boolean): string {
  return `${time} ${emptied ? "z" : "c"} ${positions.stdout},${positions.stderr}\n`;
}

/** Reads one line of a log, given without its line end; undefined for what is not one. */
export function parseEntry(line: string): LogEntry | undefined {
  const head = /^(\d+) (?:([oe]) (\d+) |([cz]) (\d+),(\d+)$)/.exec(line);
  if (head === null) return undefined;
  if (head[2] === undefined) {
    const positions = { stdout: Number(head[5]), stderr: Number(head[6]) };
    return { type: "positions", emptied: head[4] === "z", positions };
  }
  return {
    type: "line",
    time: Number(head[1]),
    stream: head[2] === "o" ? "stdout" : "stderr",
    end: Number(head[3]),
    text: line.slice(head[0].length),
  };
}

/**
 * When a line that nobody saw being written was written: what it says itself when it is a JSON log line, else
 * `otherwise`.
 */
export function timeOfLine(text: string, otherwise: number): number {
  const stated = /^\{"time":"([^"]{10,40})"/.exec(text)?.[1];
  const time = stated === undefined ? Number.NaN : Date.parse(stated);
  return Number.isNaN(time) ? otherwise : time;
}
