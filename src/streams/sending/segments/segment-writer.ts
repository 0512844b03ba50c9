import { type FileLike, writePieces } from "../../../foundation/durable-file.ts";
import type { Segment, SegmentFolder } from "./segment-folder.ts";
import { encodeRecordHead, encodeSegmentHead, HEAD_BYTES, RECORD_HEAD_BYTES } from "./segment-format.ts";
import type { Recovered } from "./segment-recovery.ts";
import type { Run } from "./segment-run.ts";

/** So much is written at once, and one record more. */
const WRITE_BYTES = 1024 * 1024;
/** What is smaller is copied, which costs less than a piece of its own. */
const PIECE_BYTES = 4096;

/** Where a record lies. */
export interface Place {
  readonly segment: number;
  /** In the segment's file, and where the one behind it begins. */
  readonly at: number;
  readonly end: number;
}

interface Waiter {
  /** Everything before this position has to be on the disk. */
  readonly target: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The end of a segment log at which it grows. While one wait for the disk is under way the next events are written, and all
 * that was written meanwhile shares the next wait. After a write or a wait that failed nothing more is confirmed.
 */
export class SegmentWriter {
  private readonly folder: SegmentFolder;
  private readonly segmentBytes: number;
  private readonly confirmed: (run: Run, place: Place) => void;
  private current: { readonly segment: Segment; readonly file: FileLike } | undefined;
  /** Bytes of the current file: written, and of these on the disk. */
  private size = 0;
  private syncedSize = 0;
  private pending: Run[] = [];
  private unsynced: { readonly run: Run; readonly place: Place }[] = [];
  /** What is being written: heads, and what is small. */
  private scratch = Buffer.alloc(0);
  private written: number;
  private syncedPosition: number;
  private nextPosition: number;
  private content: number;
  private writing: Promise<void> | undefined;
  private syncing: Promise<void> | undefined;
  private waiters: Waiter[] = [];
  private failure: { readonly error: unknown } | undefined;

  /**
   * @param segmentBytes A segment that has grown to this is followed by the next.
   * @param confirmed Told of each run, in order, once it is on the disk.
   */
  constructor(
    folder: SegmentFolder,
    { next, totalBytes, last }: Recovered,
    segmentBytes: number,
    confirmed: (run: Run, place: Place) => void,
  ) {
    this.folder = folder;
    this.segmentBytes = segmentBytes;
    this.confirmed = confirmed;
    this.nextPosition = next;
    this.written = next;
    this.syncedPosition = next;
    this.content = totalBytes;
    if (last === undefined) return;
    this.current = { segment: folder.segments.at(-1)!, file: last.file };
    this.size = last.size;
    this.syncedSize = last.size;
  }

  /** The position that the next event gets. */
  get next(): number {
    return this.nextPosition;
  }

  /** Everything before this position is on the disk. */
  get synced(): number {
    return this.syncedPosition;
  }

  /** Queues events, which must not change until they were confirmed, and later if whoever is told says so. */
  append(buffer: Buffer, start: number, end: number, count: number): void {
    this.pending.push({ first: this.nextPosition, count, buffer, start, end, recordBytes: end - start });
    this.nextPosition += count;
  }

  /** Resolves when everything appended so far is on the disk. */
  flush(): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure.error);
    if (this.syncedPosition === this.nextPosition) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.waiters.push({ target: this.nextPosition, resolve, reject });
      if (this.pending.length > 0) this.writing ??= this.write();
    });
  }

  async close(): Promise<void> {
    await this.writing;
    await this.syncing;
    await this.current?.file.close();
  }

  /** Never rejects. */
  private async write(): Promise<void> {
    try {
      while (this.pending.length > 0 && this.failure === undefined) {
        const { segment, file } = await this.writable();
        const runs = this.takePending();
        await writePieces(file, this.encode(segment, runs), this.size);
        this.noteWritten(segment, runs);
        this.syncing ??= this.sync(file);
      }
    } catch (error) {
      this.fail(error);
    }
    this.writing = undefined;
  }

  /** Never rejects. */
  private async sync(file: FileLike): Promise<void> {
    try {
      while (this.syncedPosition < this.written && this.failure === undefined) {
        const { written, size } = this;
        await file.datasync();
        this.syncedSize = size;
        this.syncedPosition = written;
        this.confirm();
      }
    } catch (error) {
      this.fail(error);
    }
    this.syncing = undefined;
  }

  /** What is written at once. */
  private takePending(): readonly Run[] {
    let bytes = 0;
    let count = 0;
    while (count < this.pending.length && bytes < WRITE_BYTES) bytes += this.pending[count++]!.recordBytes;
    return this.pending.splice(0, count);
  }

  private async writable(): Promise<{ readonly segment: Segment; readonly file: FileLike }> {
    const { current } = this;
    if (current !== undefined && this.size < this.segmentBytes) return current;
    // A segment that is not the last is whole, whatever happens.
    await this.syncing;
    if (this.failure !== undefined) throw this.failure.error;
    const next = await this.folder.begin(this.written, this.content);
    await current?.file.close();
    this.current = next;
    this.size = 0;
    this.syncedSize = 0;
    return next;
  }

  /** The records of runs, in pieces, with the head of the segment where they are its first. */
  private encode(segment: Segment, runs: readonly Run[]): readonly Uint8Array[] {
    const bytes = this.scratchFor(runs);
    let at = this.size === 0 ? encodeSegmentHead(segment).copy(bytes) : 0;
    let from = 0;
    const pieces: Uint8Array[] = [];
    for (const { first, count, buffer, start, end } of runs) {
      const content = buffer.subarray(start, end);
      at += encodeRecordHead({ first, count, synced: this.syncedSize }, content).copy(bytes, at);
      if (content.length < PIECE_BYTES) at += content.copy(bytes, at);
      else {
        pieces.push(bytes.subarray(from, at), content);
        from = at;
      }
    }
    pieces.push(bytes.subarray(from, at));
    return pieces;
  }

  /** Room for all that is copied of these runs. */
  private scratchFor(runs: readonly Run[]): Buffer {
    let length = HEAD_BYTES;
    for (const { start, end } of runs) length += RECORD_HEAD_BYTES + (end - start < PIECE_BYTES ? end - start : 0);
    if (this.scratch.length < length) this.scratch = Buffer.allocUnsafeSlow(length);
    return this.scratch;
  }

  private noteWritten(segment: Segment, runs: readonly Run[]): void {
    if (this.size === 0) this.size = HEAD_BYTES;
    for (const run of runs) {
      const at = this.size;
      this.size += RECORD_HEAD_BYTES + run.recordBytes;
      this.content += run.recordBytes;
      this.written = run.first + run.count;
      this.unsynced.push({ run, place: { segment: segment.number, at, end: this.size } });
    }
  }

  private confirm(): void {
    let confirmed = 0;
    for (const { run, place } of this.unsynced) {
      if (run.first >= this.syncedPosition) break;
      this.confirmed(run, place);
      confirmed++;
    }
    this.unsynced.splice(0, confirmed);
    while (this.waiters.length > 0 && this.waiters[0]!.target <= this.syncedPosition) this.waiters.shift()!.resolve();
  }

  private fail(error: unknown): void {
    this.failure ??= { error };
    for (const { reject } of this.waiters.splice(0)) reject(error);
  }
}
