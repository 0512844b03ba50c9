import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** One line of a sink's file. */
export interface Arrival {
  readonly source: string;
  readonly n: number;
  /** When the event was made, in milliseconds since 1970. */
  readonly madeAt: number;
  /** The components that it came by, from its source on; a dead letter ends with `!` and the one that refused it. */
  readonly route: string;
  /** Attempts that a processor needed, where it says so. */
  readonly tries: number;
}

interface Line {
  readonly s?: unknown;
  readonly n?: unknown;
  readonly t?: unknown;
  readonly v?: unknown;
  readonly tries?: unknown;
  readonly payload?: Line;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Reads one line; undefined for one that is none of ours, which half a line is. */
export function readArrival(text: string): Arrival | undefined {
  let line: Line;
  try {
    line = JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
  const refusedBy = line.metadata?.["flowctl.dead_letter.component"];
  const { s, n, t, v, tries } = line.payload ?? line;
  if (typeof s !== "string" || typeof n !== "number" || typeof t !== "string" || typeof v !== "string")
    return undefined;
  const route = refusedBy === undefined ? v : `${v}!${refusedBy}`;
  return { source: s, n, madeAt: Date.parse(t), route, tries: typeof tries === "number" ? tries : 1 };
}

/** What a sink has, all its instances together, and the lines that cannot be read. */
export interface SinkContent {
  readonly arrivals: readonly Arrival[];
  readonly unreadable: readonly string[];
}

/** Reads the files of every sink below a folder, by sink. */
export async function readSinks(folder: string): Promise<ReadonlyMap<string, SinkContent>> {
  const sinks = new Map<string, { arrivals: Arrival[]; unreadable: string[] }>();
  for (const below of ["out", "small"]) {
    for (const name of await readdir(join(folder, below)).catch(() => [])) {
      const id = /^(.+)-\d+\.jsonl$/.exec(name)?.[1];
      if (id === undefined) continue;
      const content = sinks.get(id) ?? { arrivals: [], unreadable: [] };
      sinks.set(id, content);
      const text = await readFile(join(folder, below, name), "utf8");
      for (const line of text.split("\n")) {
        if (line === "") continue;
        const arrival = readArrival(line);
        if (arrival === undefined) content.unreadable.push(`${name}: ${line.slice(0, 200)}`);
        else content.arrivals.push(arrival);
      }
    }
  }
  return sinks;
}

/** The last whole line of a sink, of any of its instances. */
export async function lastArrival(folder: string, sink: string): Promise<Arrival | undefined> {
  let last: Arrival | undefined;
  for (const path of await filesOf(folder, [sink])) {
    const arrival = await lastOf(path);
    if (arrival !== undefined && arrival.madeAt >= (last?.madeAt ?? 0)) last = arrival;
  }
  return last;
}

/** How much these sinks have written together, in bytes; all there are where none are named. */
export async function writtenBy(folder: string, sinks?: readonly string[]): Promise<number> {
  let size = 0;
  for (const path of await filesOf(folder, sinks)) size += (await stat(path).catch(() => ({ size: 0 }))).size;
  return size;
}

async function filesOf(folder: string, sinks?: readonly string[]): Promise<readonly string[]> {
  const files: string[] = [];
  for (const below of ["out", "small"]) {
    for (const name of await readdir(join(folder, below)).catch(() => [])) {
      const id = /^(.+)-\d+\.jsonl$/.exec(name)?.[1];
      if (id !== undefined && (sinks?.includes(id) ?? true)) files.push(join(folder, below, name));
    }
  }
  return files;
}

/** More than two lines have. */
const TAIL = 4_096;

async function lastOf(path: string): Promise<Arrival | undefined> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL), 0, TAIL, Math.max(0, size - TAIL));
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    return readArrival(lines.at(-2) ?? "");
  } finally {
    await file.close();
  }
}
