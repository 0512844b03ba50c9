import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../../foundation/clock.ts";
import type { Logger, SourceEmit } from "../../../sdk/index.ts";
import { beginsWith, emptyHead, extended, type FileHead, headOf, readBeginning } from "./file-head.ts";
import { fileProblem } from "./file-problem.ts";
import type { LineEvent } from "./line-event.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { FollowPosition } from "./position.ts";

export interface FollowOptions {
  /** What the ids of the events begin with. */
  readonly name: string;
  readonly path: string;
  readonly maxLineBytes: number;
  readonly toEvent: LineEvent;
  readonly position: FollowPosition | undefined;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const chunkBytes = 64 * 1024;

/**
 * Emits the lines of a file as they are appended, until the signal fires. A line counts when its line break is there.
 * When another file takes the name (rotation), the old one is read to its end first, and what is left in it without a
 * line break is its last line. When the file becomes shorter it is read from its start. Truncation to a length that is
 * not below what was read cannot be seen.
 */
export async function follow(options: FollowOptions, emit: SourceEmit<FollowPosition>): Promise<void> {
  const { path, position, signal } = options;
  let current = position === undefined ? undefined : await reopen(options, position);
  let generation = current?.generation ?? (position === undefined ? 1 : position.generation + 1);
  try {
    while (!signal.aborted) {
      if (current === undefined) {
        const file = await openIfThere(path);
        if (file === undefined) {
          await pause(options);
          continue;
        }
        current = await FollowedFile.from(file, options, { generation, offset: 0, line: 0 });
      }
      if (await current.readMore(emit)) continue;
      const change = await current.changed(path);
      if (change === "none") await pause(options);
      if (change === "shorter") {
        generation += 1;
        options.log.info("the file was truncated: reading it from the start", { path });
        current.restart(generation);
      }
      if (change !== "replaced") continue;
      while (await current.readMore(emit));
      await current.emitRest(emit);
      await current.close();
      options.log.info("the file was rotated: continuing with the new file", { path });
      current = undefined;
      generation += 1;
    }
  } finally {
    await current?.close();
  }
}

type FollowStart = Pick<FollowPosition, "generation" | "offset" | "line">;

/** One file, wherever its name went. */
class FollowedFile {
  readonly #file: FileHandle;
  readonly #inode: number;
  readonly #options: FollowOptions;
  #generation: number;
  #head: FileHead;
  #readTo: number;
  #splitter: LineSplitter;

  private constructor(
    file: FileHandle,
    id: { inode: number; head: FileHead },
    options: FollowOptions,
    at: FollowStart,
  ) {
    this.#file = file;
    this.#inode = id.inode;
    this.#head = id.head;
    this.#options = options;
    this.#generation = at.generation;
    this.#readTo = at.offset;
    this.#splitter = splitterAt(options, at.offset, at.line);
  }

  static async from(file: FileHandle, options: FollowOptions, at: FollowStart): Promise<FollowedFile> {
    const { ino: inode } = await file.stat();
    return new FollowedFile(file, { inode, head: headOf(await readBeginning(file)) }, options, at);
  }

  get generation(): number {
    return this.#generation;
  }

  /** Emits what one more read gives; false when there is nothing more, or it is time to stop. */
  async readMore(emit: SourceEmit<FollowPosition>): Promise<boolean> {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes);
    const { bytesRead } = await this.#file.read(chunk, 0, chunkBytes, this.#readTo);
    this.#readTo += bytesRead;
    if (bytesRead > 0) this.#head = await extended(this.#head, this.#file);
    for (const line of this.#splitter.push(chunk.subarray(0, bytesRead))) {
      if (this.#options.signal.aborted) return false;
      await this.#emit(line, emit);
    }
    return bytesRead > 0;
  }

  /** The last line of a file that nobody appends to any more. */
  async emitRest(emit: SourceEmit<FollowPosition>): Promise<void> {
    const line = this.#options.signal.aborted ? undefined : this.#splitter.end();
    if (line !== undefined) await this.#emit(line, emit);
  }

  async changed(path: string): Promise<"none" | "shorter" | "replaced"> {
    if ((await this.#file.stat()).size < this.#readTo) return "shorter";
    const inode = await inodeOf(path);
    // A name that is gone comes back with the next file; until then the old one may still be written to.
    return inode === undefined || inode === this.#inode ? "none" : "replaced";
  }

  restart(generation: number): void {
    this.#generation = generation;
    this.#head = emptyHead;
    this.#readTo = 0;
    this.#splitter = splitterAt(this.#options, 0, 0);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #emit(
    line: { bytes: Uint8Array; number: number; end: number; tooLong: boolean },
    emit: SourceEmit<FollowPosition>,
  ): Promise<void> {
    const event = this.#options.toEvent(line, `${this.#options.name}${this.#generation}-${this.#inode}-${line.end}`);
    if (event === undefined) return;
    await emit(event, {
      generation: this.#generation,
      inode: this.#inode,
      head: this.#head,
      offset: line.end,
      line: line.number,
    });
  }
}

function splitterAt(options: FollowOptions, offset: number, number: number): LineSplitter {
  return new LineSplitter({ offset, number, maxBytes: options.maxLineBytes });
}

/** The file of a position, also when it has another name by now; undefined when it is gone, was truncated or replaced. */
async function reopen(options: FollowOptions, position: FollowPosition): Promise<FollowedFile | undefined> {
  const { path, log } = options;
  const { inode, offset, head } = position;
  let replaced = false;
  for (const candidate of [path, ...(await siblings(path))]) {
    if ((await inodeOf(candidate)) !== inode) continue;
    const file = await openIfThere(candidate);
    if (file === undefined) continue;
    const { ino, size } = await file.stat();
    const begins = head === undefined || beginsWith(await readBeginning(file), head);
    if (ino === inode && size >= offset && begins) return FollowedFile.from(file, options, position);
    replaced ||= ino === inode && !begins;
    await file.close();
  }
  const reason = replaced ? "replaced by another one with its inode" : "removed or truncated";
  log.warn(`the file was ${reason}: its unread content is lost`, { path, inode, offset });
  return undefined;
}

async function siblings(path: string): Promise<string[]> {
  try {
    return (await readdir(dirname(path))).map((name) => join(dirname(path), name));
  } catch (error) {
    throw fileProblem(dirname(path), error);
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileProblem(path, error);
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileProblem(path, error);
  }
}

/** Ends early, without an error, when the signal fires: the loop around it looks at the signal. */
async function pause({ clock, pollMs, signal }: FollowOptions): Promise<void> {
  try {
    await clock.sleep(pollMs, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
