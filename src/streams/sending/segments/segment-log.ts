import { makeLastingFolder, type OpenFile, openFile } from "../../../foundation/durable-file.ts";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { MemoryPool } from "../../../protocol/slab-pool.ts";
import { Ring } from "../../ring.ts";
import { SegmentFolder } from "./segment-folder.ts";
import { SegmentProgress } from "./segment-progress.ts";
import { SegmentReader } from "./segment-reader.ts";
import { type Recovered, recoverSegments } from "./segment-recovery.ts";
import { type Run, withoutFirst } from "./segment-run.ts";
import { SegmentWriter } from "./segment-writer.ts";

export interface SegmentLogOptions {
  /** How files are opened. */
  readonly openFile?: OpenFile;
  /** Size at which a segment is followed by the next; default 16 MiB. */
  readonly segmentBytes?: number;
  /** Where runs lie that are appended and read; left out: memory that is not used again. */
  readonly memory?: MemoryPool | undefined;
}

const SEGMENT_BYTES = 16 * 1024 * 1024;

/**
 * A queue of events on disk, in segment files of about 16 MiB: runs of events are appended at the back, read once in order,
 * and released at the front. Events have positions that count from 0 and are never used again.
 *
 * What `flush` has confirmed survives kill -9 and a power cut. A write that a crash tore is cut off when the log is opened; it
 * was never confirmed. Where something that was confirmed cannot be read, opening or reading fails with
 * `stream/buffer-damaged`, and nothing is passed over in silence. What was released may come again after a crash; nothing that
 * was not is lost. Memory does not grow with what is in the log. One user at a time.
 *
 * Every method rejects with `stream/buffer-failed` when the file system refuses; after a write that failed nothing more is
 * confirmed, and the log has to be closed.
 */
export class SegmentLog {
  private readonly folder: SegmentFolder;
  private readonly progress: SegmentProgress;
  private readonly writer: SegmentWriter;
  private readonly reader: SegmentReader;
  private readonly memory: MemoryPool | undefined;
  private releasedPosition: number;
  private contentBytes: number;
  /** Of what was given and not released: where each record ends, and its bytes. */
  private readonly given = new Ring<{ readonly end: number; readonly bytes: number }>();
  /** Of what was skipped and not released: where each stretch ends, and how many events it has; and all of them. */
  private readonly skipped = new Ring<{ end: number; count: number }>();
  private skippedCount = 0;
  private givenContent = 0;
  /** Bytes that were skipped of the record that is read next. */
  private skippedBytes = 0;
  private loading: Promise<void> | undefined;
  private retiring: Promise<void> | undefined;

  private constructor(
    folder: SegmentFolder,
    progress: SegmentProgress,
    found: Recovered,
    { segmentBytes = SEGMENT_BYTES, memory }: SegmentLogOptions,
  ) {
    this.folder = folder;
    this.progress = progress;
    this.memory = memory;
    this.reader = new SegmentReader(folder, found.released, found.next, memory);
    this.writer = new SegmentWriter(folder, found, segmentBytes, (run, place) => this.reader.confirmed(run, place));
    this.releasedPosition = found.released;
    this.contentBytes = found.heldBytes;
  }

  /** Opens or makes the log in its folder. Rejects with `stream/buffer-failed` or `stream/buffer-damaged`. */
  static async open(path: string, options: SegmentLogOptions = {}): Promise<SegmentLog> {
    return await guarded(path, async () => {
      await makeLastingFolder(path);
      const folder = new SegmentFolder(path, options.openFile ?? openFile);
      const progress = await SegmentProgress.open(path, folder.openFile);
      try {
        const found = await recoverSegments(folder, progress.last);
        return new SegmentLog(folder, progress, found, options);
      } catch (error) {
        await progress.close();
        throw error;
      }
    });
  }

  /** The position that the next event gets. */
  get next(): number {
    return this.writer.next;
  }

  /** Events that were appended, and neither released nor skipped. */
  get records(): number {
    return this.writer.next - this.releasedPosition - this.skippedCount;
  }

  /** Their size; what was read counts until all of its run is released. */
  get bytes(): number {
    return this.contentBytes;
  }

  /** As much of these bytes as was read. */
  get givenBytes(): number {
    return this.givenContent;
  }

  /** Events that can be read: on the disk, and not read yet. */
  get readable(): number {
    return this.writer.synced - this.reader.next;
  }

  /** The position of the next event that is read. Everything before it was read or skipped. */
  get readPosition(): number {
    return this.reader.next;
  }

  /**
   * Queues `count` events that lie side by side in the buffer from `start` to `end`, each with tag and length as in an
   * EventBatch. The bytes are not copied: they must never change. Memory of the pool is retained until the run was read from
   * memory, or will be read from the disk.
   */
  appendRun(buffer: Buffer, start: number, end: number, count: number): void {
    this.memory?.retain(buffer);
    this.writer.append(buffer, start, end, count);
    this.contentBytes += end - start;
  }

  /** When it resolves, everything appended before is on the disk. Calls may overlap: they share the wait. */
  flush(): Promise<void> {
    return this.writer.flush().catch((error: unknown) => {
      throw failure(this.folder.path, error);
    });
  }

  /**
   * The next events, at most one run, if they are in memory; undefined when there are none, or `load` is needed. Its memory is
   * retained: the caller has to release it.
   */
  takeRun(): Run | undefined {
    const run = this.reader.take();
    if (run !== undefined) this.giveRecord(run);
    return run;
  }

  /** When it resolves, `takeRun` gives the next events, if any are readable. */
  async load(): Promise<void> {
    this.loading ??= this.loadOnce();
    await this.loading;
  }

  /** Passes over the oldest events that were not read, as if they had been read: up to `count` of one run. Returns how many. */
  async skipSome(count: number): Promise<number> {
    await this.load();
    const run = this.reader.peek();
    if (run === undefined) return 0;
    const skipped = Math.min(count, run.count);
    this.pass(run, skipped);
    return skipped;
  }

  /** Everything before this position, all of it read, is needed no more. Deletes segments that are done with. */
  async releaseTo(position: number): Promise<void> {
    if (position <= this.releasedPosition) return;
    this.releasedPosition = position;
    while (this.given.length > 0 && this.given.at(0).end <= position) {
      const { bytes } = this.given.shift();
      this.contentBytes -= bytes;
      this.givenContent -= bytes;
    }
    while (this.skipped.length > 0 && this.skipped.at(0).end <= position)
      this.skippedCount -= this.skipped.shift().count;
    if (this.canRetire) this.retiring ??= this.retire();
    await this.retiring;
  }

  /** Remembers how far events were released, so that fewer come again after a restart. Waits for no disk. */
  async saveProgress(): Promise<void> {
    const progress = { released: this.releasedPosition, confirmed: this.writer.synced };
    await guarded(this.folder.path, () => this.progress.save(progress));
  }

  /** What was appended and not flushed is gone. */
  async close(): Promise<void> {
    await this.loading?.catch(() => undefined);
    await this.retiring?.catch(() => undefined);
    await guarded(this.folder.path, async () => {
      await this.writer.close();
      await this.reader.close();
      await this.progress.close();
    });
  }

  /** Passes over events of the run that is read next. */
  private pass(run: Run, count: number): void {
    const bytes = (count === run.count ? run.end : withoutFirst(run, count).start) - run.start;
    this.contentBytes -= bytes;
    this.skippedBytes += bytes;
    this.reader.pass(count);
    if (count === run.count) this.giveRecord(run);
    this.skippedCount += count;
    const end = run.first + count;
    const last = this.skipped.length > 0 ? this.skipped.at(this.skipped.length - 1) : undefined;
    if (last?.end === run.first) {
      last.end = end;
      last.count += count;
    } else this.skipped.push({ end, count });
  }

  private giveRecord(run: Run): void {
    const bytes = run.recordBytes - this.skippedBytes;
    this.given.push({ end: run.first + run.count, bytes });
    this.givenContent += bytes;
    this.skippedBytes = 0;
  }

  private async loadOnce(): Promise<void> {
    try {
      await guarded(this.folder.path, () => this.reader.load(this.writer.synced));
    } finally {
      this.loading = undefined;
    }
  }

  private get canRetire(): boolean {
    const [first, second] = this.folder.segments;
    return (
      first !== undefined &&
      second !== undefined &&
      second.first <= this.releasedPosition &&
      this.reader.segment > first.number
    );
  }

  private async retire(): Promise<void> {
    try {
      await guarded(this.folder.path, async () => {
        while (this.canRetire) await this.folder.retire();
      });
    } finally {
      this.retiring = undefined;
    }
  }
}

async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw failure(path, error);
  }
}

function failure(path: string, error: unknown): FlowctlError {
  return FlowctlError.wrap(error, {
    code: "stream/buffer-failed",
    kind: "unavailable",
    message: `the disk buffer in ${path} failed`,
    fix: "check that the disk is mounted, writable and not full",
  });
}
