import { execFile } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  type FSWatcher,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  watch,
} from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../foundation/clock.ts";
import type { Logger } from "../../../foundation/logger.ts";
import {
  formatLine,
  formatPositions,
  logNames,
  parseEntry,
  type SpoolPositions,
  STREAMS,
  spoolName,
  timeOfLine,
} from "./log-format.ts";
import { readSpool } from "./spool.ts";

/** Copies what programs write into their spools to their logs, with time and stream, and keeps both small. */
export interface LogCollector {
  /** Copies what an instance has written; with `final` all of it, and an unfinished last line, too. */
  flush(instance: string, final: boolean): void;
  /** Removes every log and spool of an instance. */
  forget(instance: string): void;
  /** Copies what there is and ends. */
  close(): void;
}

export interface LogCollectorOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** When a log is moved aside; there are three files, so an instance keeps between two and three times this. */
  readonly rotateBytes?: number;
}

interface Tail {
  positions: { stdout: number; stderr: number };
  /** Of the current log file. */
  size: number;
  /** Up to where each spool's disk space was given back. */
  released: { stdout: number; stderr: number };
  /** What was there before this collector: nobody saw when it was written. */
  catchUp: boolean;
}

const ROTATE_BYTES = 10 * 1024 * 1024;
/** So much of each stream is copied at a time: what else the supervisor has to do comes in between. */
const TURN_BYTES = 1024 * 1024;
/** File notifications can be lost or missing; this is how long a line waits then. */
const LOOK_AROUND_MS = 500;

/** Begins to collect for everything in `folder`, now and later. Makes the folder. */
export function startLogCollector(options: LogCollectorOptions): LogCollector {
  const { folder, clock, log } = options;
  const rotateBytes = options.rotateBytes ?? ROTATE_BYTES;
  const tails = new Map<string, Tail>();
  const dirty = new Set<string>();
  let scheduled: NodeJS.Immediate | undefined;
  mkdirSync(folder, { recursive: true, mode: 0o700 });

  let begun = false;

  /** Returns whether there is more to copy. With `final` everything that is there now is copied. */
  const collect = (instance: string, final: boolean): boolean => {
    let tail = tails.get(instance);
    if (tail === undefined) {
      tail = resume(folder, instance, !begun);
      tails.set(instance, tail);
    }
    let hasMore = false;
    for (const stream of STREAMS) {
      const path = join(folder, spoolName(instance, stream));
      skipBacklog(instance, tail, stream, path);
      const until = final ? sizeOf(path) : tail.positions[stream] + TURN_BYTES;
      for (;;) {
        const { lines, size, modifiedAt } = readSpool(path, tail.positions[stream], { final });
        if (size < tail.positions[stream]) {
          tail.positions[stream] = 0;
          tail.released[stream] = 0;
          append(instance, tail, formatPositions(clock.now(), tail.positions, true));
          continue;
        }
        const last = lines.at(-1);
        if (last === undefined) break;
        const now = clock.now();
        const text = lines
          .map((line) => {
            const time = tail.catchUp ? timeOfLine(line.text, Math.min(now, Math.round(modifiedAt))) : now;
            return formatLine(time, stream, line.end, line.text);
          })
          .join("");
        append(instance, tail, text);
        tail.positions[stream] = last.end;
        release(path, tail, stream);
        if (last.end < until) continue;
        hasMore ||= last.end < size;
        break;
      }
    }
    tail.catchUp = false;
    return hasMore;
  };

  /**
   * What is written faster than it can be copied would fill the disk before long: of more than the log would keep
   * anyway only the end is copied.
   */
  const skipBacklog = (instance: string, tail: Tail, stream: "stdout" | "stderr", path: string): void => {
    const from = tail.positions[stream];
    const size = sizeOf(path);
    if (size - from <= rotateBytes * 3) return;
    const to = size - rotateBytes;
    tail.positions[stream] = to;
    const megabytes = Math.round((to - from) / 1e6);
    const text = `flowctl: skipped ${megabytes} MB of output that was written faster than it could be stored`;
    append(instance, tail, formatLine(clock.now(), stream, to, text));
    release(path, tail, stream);
  };

  const append = (instance: string, tail: Tail, text: string): void => {
    const [current, ...older] = logNames(instance).map((name) => join(folder, name)) as [string, ...string[]];
    if (tail.size > rotateBytes) {
      for (let i = older.length - 1; i >= 0; i--) {
        const from = i === 0 ? current : (older[i - 1] as string);
        if (existsSync(from)) renameSync(from, older[i] as string);
      }
      tail.size = 0;
    }
    const head = tail.size === 0 ? formatPositions(clock.now(), tail.positions, false) : "";
    appendFileSync(current, head + text, { mode: 0o600 });
    tail.size += Buffer.byteLength(head) + Buffer.byteLength(text);
  };

  /** Gives back the disk space of what was copied, without moving what the program goes on writing. */
  const release = (path: string, tail: Tail, stream: "stdout" | "stderr"): void => {
    const position = tail.positions[stream];
    // Some stays, for readers that are a moment behind.
    const until = position - rotateBytes / 2;
    if (until - tail.released[stream] < rotateBytes / 2) return;
    tail.released[stream] = position;
    execFile("fallocate", ["--punch-hole", "--offset", "0", "--length", String(Math.floor(until)), path], (error) => {
      if (error === null) return;
      // No such command or file system. Emptying the file can lose what is written in this very moment.
      try {
        if (statSync(path).size === tail.positions[stream]) truncateSync(path, 0);
      } catch (failure) {
        log.warn("cannot truncate a log", { path, err: failure });
      }
    });
  };

  const guarded = (instance: string, final: boolean): boolean => {
    try {
      return collect(instance, final);
    } catch (error) {
      log.warn("cannot collect the log of an instance", { instance, err: error });
      return false;
    }
  };

  const drain = (): void => {
    clearImmediate(scheduled);
    scheduled = undefined;
    const instances = [...dirty];
    dirty.clear();
    for (const instance of instances) {
      if (guarded(instance, false)) dirty.add(instance);
    }
    if (dirty.size > 0) scheduled ??= setImmediate(drain);
  };
  const lookAround = (): void => {
    for (const name of readdirSync(folder)) {
      const match = /^(.+)\.(?:out|err)$/.exec(name);
      if (match?.[1] !== undefined) dirty.add(match[1]);
    }
    drain();
  };
  const onChange = (_event: string, name: string | null): void => {
    const instance = name === null ? undefined : /^(.+)\.(?:out|err)$/.exec(name)?.[1];
    if (instance === undefined) return;
    dirty.add(instance);
    scheduled ??= setImmediate(drain);
  };
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, { persistent: false }, onChange);
    watcher.on("error", (error) => log.debug("log file notifications ended", { err: error }));
  } catch (error) {
    log.debug("cannot watch log files", { err: error });
  }
  const timer = setInterval(() => {
    if (existsSync(folder)) lookAround();
  }, LOOK_AROUND_MS);
  timer.unref();
  lookAround();
  begun = true;

  return {
    flush: guarded,
    forget(instance) {
      tails.delete(instance);
      dirty.delete(instance);
      removeLogFiles(folder, instance);
    },
    close() {
      clearInterval(timer);
      watcher?.close();
      clearImmediate(scheduled);
      if (existsSync(folder)) lookAround();
      clearImmediate(scheduled);
      for (const instance of dirty) guarded(instance, false);
    },
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Removes every log and spool of an instance. Readers that have them open can read on. */
export function removeLogFiles(folder: string, instance: string): void {
  const names = [...logNames(instance), ...STREAMS.map((stream) => spoolName(instance, stream))];
  for (const name of names) rmSync(join(folder, name), { force: true });
}

/** Goes on where the log says that a former collector stopped. */
function resume(folder: string, instance: string, catchUp: boolean): Tail {
  const path = join(folder, logNames(instance)[0]);
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  const size = Buffer.byteLength(complete);
  // A crash can leave half a line.
  if (complete.length < text.length) truncateSync(path, size);
  const positions = positionsAfter(complete);
  return { positions, size, released: { ...positions }, catchUp };
}

function positionsAfter(log: string): { stdout: number; stderr: number } {
  let positions: SpoolPositions = { stdout: 0, stderr: 0 };
  for (const line of log.split("\n")) {
    const entry = parseEntry(line);
    if (entry?.type === "positions") positions = entry.positions;
    else if (entry?.type === "line") positions = { ...positions, [entry.stream]: entry.end };
  }
  return { ...positions };
}
