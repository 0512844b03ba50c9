import { type FileLike, readWhole } from "../../../foundation/durable-file.ts";
import type { MemoryPool } from "../../../protocol/slab-pool.ts";
import { Ring } from "../../ring.ts";
import type { SegmentFolder } from "./segment-folder.ts";
import { HEAD_BYTES, RECORD_HEAD_BYTES, recordAt, recordHeadAt } from "./segment-format.ts";
import { type Run, withoutFirst } from "./segment-run.ts";
import type { Place } from "./segment-writer.ts";

/** So much is read at once where no record is larger. A processor's cache still has it when it is checked. */
const READ_BYTES = 256 * 1024;
/** What was written last is kept in memory up to so many bytes, so that a reader that keeps up never waits for the disk. */
const TAIL_BYTES = 8 * 1024 * 1024;

interface TailRun {
  readonly run: Run;
  readonly place: Place;
  /** Size of the memory that is kept for it: all that it lies in, unless the run before it lies there, too. */
  readonly held: number;
}

/** What was read of a file: `bytes`, at the front of the buffer. */
interface Loaded {
  readonly buffer: Buffer;
  readonly bytes: Buffer;
}

/** Reads a segment log from front to back, once. */
export class SegmentReader {
  private readonly folder: SegmentFolder;
  private readonly memory: MemoryPool | undefined;
  /** The next event to be given. */
  private position: number;
  /** Read from the disk and not given yet; the first has the next event. */
  private readonly loaded = new Ring<Run>();
  /** What was written last and not given yet. */
  private readonly tail = new Ring<TailRun>();
  private tailBytes = 0;
  /** Where the record lies that is read from the disk next, and the position of its first event. */
  private cursor: { segment: number; at: number; first: number };
  /** Size of the record at the cursor, where its head has been read. */
  private nextBytes = 0;
  private open: { readonly segment: number; readonly file: FileLike } | undefined;

  /** @param memory In which runs lie: those that are confirmed are retained already. */
  constructor(folder: SegmentFolder, position: number, next: number, memory: MemoryPool | undefined) {
    this.folder = folder;
    this.memory = memory;
    this.position = position;
    const first = folder.segments[0];
    this.cursor =
      first === undefined
        ? { segment: 0, at: 0, first: next }
        : { segment: first.number, at: HEAD_BYTES, first: first.first };
  }

  /** The position of the next event to be given. */
  get next(): number {
    return this.position;
  }

  /** Files from this segment on are still read. */
  get segment(): number {
    return this.cursor.segment;
  }

  /** A run is on the disk. It may be given from memory. */
  confirmed(run: Run, place: Place): void {
    const before = this.tail.length > 0 ? this.tail.at(this.tail.length - 1).run.buffer : undefined;
    const held = run.buffer === before ? 0 : run.buffer.length;
    this.tail.push({ run, place, held });
    this.tailBytes += held;
    while (this.tailBytes > TAIL_BYTES && this.tail.length > 1) this.dropTail();
  }

  /**
   * The next events, as they were appended together; undefined when they have to be loaded first. Their memory is retained:
   * the caller has to release it.
   */
  take(): Run | undefined {
    const run = this.peek();
    if (run === undefined) return undefined;
    this.memory?.retain(run.buffer);
    this.pass(run.count);
    return run;
  }

  /** As `take`, without moving on: good until something is passed over, loaded or confirmed. */
  peek(): Run | undefined {
    while (this.tail.length > 0 && endOf(this.tail.at(0).run) <= this.position) this.dropTail();
    if (this.loaded.length > 0) return from(this.loaded.at(0), this.position);
    if (this.tail.length === 0 || this.tail.at(0).run.first > this.position) return undefined;
    return from(this.tail.at(0).run, this.position);
  }

  /** Passes over so many events of those that `peek` gives, at most all of them. */
  pass(count: number): void {
    this.position += count;
    if (this.loaded.length > 0) {
      if (endOf(this.loaded.at(0)) > this.position) return;
      const { buffer } = this.loaded.shift();
      this.memory?.release(buffer);
      return;
    }
    const { run, place } = this.tail.at(0);
    if (endOf(run) > this.position) return;
    this.cursor = { segment: place.segment, at: place.end, first: this.position };
    this.dropTail();
  }

  /**
   * Reads what `take` gives next from the disk, where it is not in memory. Everything before `limit` has to be there. Throws
   * `stream/buffer-damaged`. Not to be called twice at once.
   */
  async load(limit: number): Promise<void> {
    while (this.peek() === undefined && this.position < limit) {
      const segment = this.segmentOfCursor();
      if (segment === undefined) {
        // All that was still to be read was given up.
        this.position = limit;
        return;
      }
      const end = Math.min(segment.end ?? limit, limit);
      const file = await this.fileOf(segment.number);
      const { at, first } = this.cursor;
      this.keep(await this.readRecords(file), end);
      if (this.cursor.first === first && first < end)
        throw this.folder.damaged(segment.number, `the record at offset ${at} is incomplete`);
    }
  }

  async close(): Promise<void> {
    await this.open?.file.close();
    this.open = undefined;
  }

  /** From the record at the cursor on, all of it at least if it is there, in memory that is still to be `written`. */
  private async readRecords(file: FileLike): Promise<Loaded> {
    const { at, first } = this.cursor;
    const found = await this.readAt(file, at, Math.max(READ_BYTES, this.nextBytes));
    const length = sizeAt(found.bytes, 0, first);
    if (length <= found.buffer.length) return found;
    this.memory?.written(found.buffer);
    return await this.readAt(file, at, length);
  }

  private async readAt(file: FileLike, at: number, length: number): Promise<Loaded> {
    const buffer = this.memory?.take(length) ?? Buffer.allocUnsafeSlow(length);
    // What was in the memory before is not looked at.
    return { buffer, bytes: buffer.subarray(0, await readWhole(file, buffer, at)) };
  }

  private keep({ buffer, bytes }: Loaded, end: number): void {
    let { at, first } = this.cursor;
    const start = at;
    while (first < end) {
      const found = recordAt(bytes, at - start, first);
      if (found === undefined) break;
      const { count } = found;
      const run = {
        first,
        count,
        buffer,
        start: found.start,
        end: found.end,
        recordBytes: found.end - found.start,
      };
      at = start + found.end;
      first += count;
      if (first <= this.position) continue;
      this.memory?.retain(buffer);
      this.loaded.push(run);
    }
    // And the head behind it, so that of the one after that the size is known.
    this.nextBytes = sizeAt(bytes, at - start, first) + RECORD_HEAD_BYTES;
    this.memory?.written(buffer);
    this.cursor = { segment: this.cursor.segment, at, first };
  }

  /** The segment in which the record at the cursor lies; the cursor is moved on to it. Undefined where there is none. */
  private segmentOfCursor(): { readonly number: number; readonly end: number | undefined } | undefined {
    const { segments } = this.folder;
    let current = segments.find(({ number }) => number >= this.cursor.segment);
    if (current?.number === this.cursor.segment && current.end !== undefined && this.cursor.first >= current.end)
      current = segments.find(({ number }) => number > this.cursor.segment);
    if (current === undefined) return undefined;
    if (current.number !== this.cursor.segment) {
      this.cursor = { segment: current.number, at: HEAD_BYTES, first: current.first };
      // What was given up between two segments is passed over.
      this.position = Math.max(this.position, current.first);
    }
    return current;
  }

  private async fileOf(segment: number): Promise<FileLike> {
    if (this.open?.segment === segment) return this.open.file;
    await this.close();
    const file = await this.folder.open(segment);
    this.open = { segment, file };
    return file;
  }

  private dropTail(): void {
    const { run, held } = this.tail.shift();
    this.tailBytes -= held;
    this.memory?.release(run.buffer);
  }
}

/** Size of the record at `at` whose first event has the position `expected`, by its head; of a head where that is not there. */
function sizeAt(bytes: Buffer, at: number, expected: number): number {
  const head = recordHeadAt(bytes, at);
  return RECORD_HEAD_BYTES + (head?.first === expected ? head.length : 0);
}

function from(run: Run, position: number): Run {
  return position > run.first ? withoutFirst(run, position - run.first) : run;
}

function endOf(run: Run): number {
  return run.first + run.count;
}
