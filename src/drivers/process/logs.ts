import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../foundation/clock.ts";
import type { LogLine, LogOptions } from "../driver.ts";
import { CONTROL_PLANE } from "../identity.ts";
import { isSelected, isWithin } from "../log-selection.ts";
import { type LogEntry, logNames, parseEntry, STREAMS, spoolName, timeOfLine } from "./logs/log-format.ts";
import { readSpool } from "./logs/spool.ts";

export interface LogReaderOptions {
  readonly folder: string;
  readonly clock: Clock;
}

const POLL_MS = 100;
const CHUNK_BYTES = 256 * 1024;

/**
 * Reads the logs of a pipeline from its files, whether a supervisor collects them or not: what is still in the spools
 * is read from there. As `Driver.logs`.
 */
export async function* pipelineLogs(
  reader: LogReaderOptions,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const cursors = new Map<string, InstanceLog>();
  const open = (): void => {
    for (const instance of instancesIn(reader.folder)) {
      if (!cursors.has(instance) && isSelected({ instance, owner: ownerOf(instance) }, options)) {
        cursors.set(instance, new InstanceLog(reader, instance));
      }
    }
  };
  try {
    open();
    for (const cursor of cursors.values()) {
      const lines = [...cursor.read(!options.follow)].filter((line) => isWithin(line, options));
      yield* options.tail === undefined ? lines : lines.slice(Math.max(0, lines.length - options.tail));
    }
    while (options.follow && !signal.aborted) {
      if (options.until !== undefined && reader.clock.now() > options.until) return;
      await pause(reader.clock, signal);
      open();
      for (const cursor of cursors.values()) {
        for (const line of cursor.read(false)) if (isWithin(line, options)) yield line;
      }
    }
  } finally {
    for (const cursor of cursors.values()) cursor.close();
  }
}

/** Where one reader stands in the log of one instance. */
class InstanceLog {
  private file: number | undefined;
  private inode = -1;
  private position = 0;
  /** The file that was read is gone: rotated away before all of it was, or removed with its instance, which begins anew. */
  private isLost = false;
  private readonly delivered = { stdout: 0, stderr: 0 };
  private readonly reader: LogReaderOptions;
  private readonly instance: string;

  constructor(reader: LogReaderOptions, instance: string) {
    this.reader = reader;
    this.instance = instance;
  }

  /** Everything since the last call. With `final` an unfinished last line too. */
  *read(final: boolean): Generator<LogLine> {
    while (this.file !== undefined || this.openNext()) {
      for (const entry of this.entries()) {
        if (entry.type === "positions") {
          // What lies before was copied: it was delivered, or has been rotated away.
          for (const stream of STREAMS) {
            const known = entry.emptied || this.isLost ? 0 : this.delivered[stream];
            this.delivered[stream] = Math.max(known, entry.positions[stream]);
          }
          this.isLost = false;
        } else if (entry.end > this.delivered[entry.stream]) {
          this.delivered[entry.stream] = entry.end;
          yield this.line(entry.stream, entry.time, entry.text);
        }
      }
      if (!this.openNext()) break;
    }
    yield* this.uncollected(final);
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }

  /** Lines that nobody has copied into the log yet. */
  private *uncollected(final: boolean): Generator<LogLine> {
    for (const stream of STREAMS) {
      const path = join(this.reader.folder, spoolName(this.instance, stream));
      for (;;) {
        const { lines, modifiedAt } = readSpool(path, this.delivered[stream], { final });
        if (lines.length === 0) break;
        const time = Math.min(this.reader.clock.now(), Math.round(modifiedAt));
        for (const { text, end } of lines) {
          this.delivered[stream] = end;
          // A collector may have copied it and given back its space just now; then the log has it.
          if (!text.startsWith("\0")) yield this.line(stream, timeOfLine(text, time), text);
        }
      }
    }
  }

  private *entries(): Generator<LogEntry> {
    if (this.file === undefined) return;
    let buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const length = readSync(this.file, buffer, 0, buffer.length, this.position);
      if (length === 0) return;
      const complete = buffer.lastIndexOf(10, length - 1) + 1;
      if (complete === 0) {
        if (length < buffer.length) return;
        buffer = Buffer.allocUnsafe(buffer.length * 2);
        continue;
      }
      this.position += complete;
      for (const line of buffer.toString("utf8", 0, complete - 1).split("\n")) {
        const entry = parseEntry(line);
        if (entry !== undefined) yield entry;
      }
    }
  }

  /** Goes to the file that follows the one that was read; false when it is the newest already, or there is none. */
  private openNext(): boolean {
    const files = logNames(this.instance)
      .map((name) => join(this.reader.folder, name))
      .filter((path) => existsSync(path))
      .reverse();
    const current = files.findIndex((path) => inodeOf(path) === this.inode);
    const next = files[current + 1];
    if (next === undefined) return false;
    let file: number;
    try {
      file = openSync(next, "r");
    } catch {
      // Rotated away in this moment; the next look finds it under its new name.
      return false;
    }
    this.isLost = this.file !== undefined && fstatSync(this.file).nlink === 0;
    this.close();
    this.file = file;
    this.inode = fstatSync(file).ino;
    this.position = 0;
    return true;
  }

  private line(stream: LogLine["stream"], time: number, text: string): LogLine {
    return { instance: this.instance, owner: ownerOf(this.instance), stream, time, text };
  }
}

function instancesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).flatMap((name) => /^(.+)\.(?:out|err|log)$/.exec(name)?.[1] ?? []);
  return [...new Set(names)].sort();
}

function ownerOf(instance: string): string {
  return instance === CONTROL_PLANE.owner ? instance : instance.replace(/-\d+$/, "");
}

function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? -2;
}

/** Waits for the next look; the end of the signal ends the wait, and is no error of a followed log. */
async function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  await clock.sleep(POLL_MS, signal).catch(() => undefined);
}
