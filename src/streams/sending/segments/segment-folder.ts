import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type FileLike, type OpenFile, syncFolder } from "../../../foundation/durable-file.ts";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { SegmentHead } from "./segment-format.ts";

export interface Segment extends SegmentHead {
  /** Position behind its last event; undefined while it is the last one, which still grows. */
  end: number | undefined;
}

/** Files of segments that are done with and kept to be written over: that takes half of the time that a new file takes. */
const MAX_SPARES = 2;
/** A file that one large event has made larger than this is not kept. */
const MAX_SPARE_BYTES = 32 * 1024 * 1024;

/** The files of one segment log. */
export class SegmentFolder {
  readonly path: string;
  readonly openFile: OpenFile;
  /** Oldest first; never empty once the log is open. */
  readonly segments: Segment[] = [];
  private readonly spares: string[] = [];
  private nextSpare = 0;
  private lastNumber = 0;

  constructor(path: string, openFile: OpenFile) {
    this.path = path;
    this.openFile = openFile;
  }

  /** Numbers of the segments that there are, and of those that somebody has given up, ascending. Removes what is of no use. */
  async list(): Promise<{ readonly numbers: number[]; readonly givenUp: ReadonlySet<number> }> {
    const numbers: number[] = [];
    const givenUp = new Set<number>();
    for (const name of await readdir(this.path)) {
      const match = /^(\d{10})\.(segment|damaged)$/.exec(name);
      if (match?.[2] === "segment") numbers.push(Number(match[1]));
      else if (match?.[2] === "damaged") givenUp.add(Number(match[1]));
      else if (/^\d+\.spare$/.test(name)) await rm(this.resolve(name), { force: true });
    }
    this.lastNumber = Math.max(0, ...numbers, ...givenUp);
    return { numbers: numbers.sort((a, b) => a - b), givenUp };
  }

  async open(number: number): Promise<FileLike> {
    return await this.openFile(this.pathOf(number), "r+");
  }

  /**
   * Makes the file of the next segment, whose name survives a power cut from then on. Everything before it has to be on the
   * disk: a segment that is not the last is whole.
   */
  async begin(first: number, bytesBefore: number): Promise<{ readonly segment: Segment; readonly file: FileLike }> {
    const number = ++this.lastNumber;
    const path = this.pathOf(number);
    const spare = this.spares.pop();
    if (spare !== undefined) await rename(spare, path);
    const file = await this.openFile(path, spare === undefined ? "w+" : "r+");
    await syncFolder(this.path);
    const previous = this.segments.at(-1);
    if (previous !== undefined) previous.end ??= first;
    const segment = { number, first, bytesBefore, end: undefined };
    this.segments.push(segment);
    return { segment, file };
  }

  /** The oldest segment is done with. */
  async retire(): Promise<void> {
    const { number } = this.segments.shift()!;
    await this.discard(number);
  }

  /** Removes the file of a segment that is not in the list. */
  async discard(number: number): Promise<void> {
    const path = this.pathOf(number);
    const { size } = await stat(path);
    if (size > MAX_SPARE_BYTES || this.spares.length >= MAX_SPARES) return await rm(path, { force: true });
    const spare = this.resolve(`${this.nextSpare++}.spare`);
    await rename(path, spare);
    this.spares.push(spare);
  }

  damaged(number: number, what: string): FlowctlError {
    const path = this.pathOf(number);
    return new FlowctlError({
      code: "stream/buffer-damaged",
      kind: "failed",
      message: `${path} is damaged: ${what}`,
      fix:
        `restore the disk buffer's folder from a backup, or give up the events in this file: ` +
        `rename it to ${path.replace(/segment$/, "damaged")} and start the component again`,
    });
  }

  private pathOf(number: number): string {
    return this.resolve(`${String(number).padStart(10, "0")}.segment`);
  }

  private resolve(name: string): string {
    return join(this.path, name);
  }
}
