import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { FlowctlError, messageOf } from "../foundation/errors.ts";
import { Ring } from "./ring.ts";

const HEADER = 8;
const SEGMENT_BYTES = 16 * 1024 * 1024;
const READ_BYTES = 256 * 1024;

interface Segment {
  readonly number: number;
  readonly file: FileHandle;
  /** Bytes of whole records. */
  size: number;
  /** Records that were not released yet. */
  held: number;
}

/**
 * A queue of byte records on disk, in segment files of about 16 MiB: appended at the back, read once in order, released at
 * the front. What `flush` has confirmed survives kill -9 and a power cut; a record that was torn is cut off when the log
 * is opened. A record that was released may come again after a crash, never one be lost. One user at a time.
 *
 * Record: length (4 bytes, big-endian), CRC-32 of the content (4), content.
 */
export class SegmentLog {
  private readonly folder: string;
  private readonly segments: Segment[];
  /** Lengths of the records that were not read yet, oldest first. */
  private readonly unread: Ring<number>;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  /** Of `unread`, how many are not written yet. */
  private unwritten = 0;
  private readSegment: number;
  private readOffset: number;
  /** Records of the first segment that were released. */
  private released: number;
  records: number;
  bytes: number;

  private constructor(folder: string, found: Recovered) {
    this.folder = folder;
    this.segments = found.segments;
    this.unread = found.unread;
    this.readSegment = found.readSegment;
    this.readOffset = found.readOffset;
    this.released = found.released;
    this.records = found.unread.length;
    this.bytes = found.bytes;
  }

  /** Opens or makes the log in its folder. Rejects with `stream/buffer-failed`. */
  static async open(folder: string): Promise<SegmentLog> {
    return await guarded(folder, async () => {
      await mkdir(folder, { recursive: true });
      return new SegmentLog(folder, await recover(folder));
    });
  }

  /** Records that `read` can give, written or not. */
  get readable(): number {
    return this.unread.length - this.unwritten;
  }

  /** Queues a record; the bytes are copied at once. */
  append(content: Uint8Array): void {
    const record = Buffer.allocUnsafe(HEADER + content.length);
    record.writeUInt32BE(content.length, 0);
    record.writeUInt32BE(crc32(content), 4);
    record.set(content, HEADER);
    this.pending.push(record);
    this.pendingBytes += record.length;
    this.unread.push(content.length);
    this.unwritten++;
    this.records++;
    this.bytes += content.length;
  }

  /** When it resolves, everything appended before is on the disk. Not to be called twice at once. */
  async flush(): Promise<void> {
    if (this.pending.length === 0) return;
    const records = this.pending;
    const size = this.pendingBytes;
    this.pending = [];
    this.pendingBytes = 0;
    await guarded(this.folder, async () => {
      const segment = await this.writable();
      const bytes = Buffer.concat(records, size);
      await segment.file.write(bytes, 0, size, segment.size);
      await segment.file.datasync();
      segment.size += size;
      segment.held += records.length;
      this.unwritten -= records.length;
    });
  }

  /** The next written records, as one piece of memory each; empty when there are none. */
  async read(): Promise<Buffer[]> {
    if (this.readable === 0) return [];
    // What is read is decided before anything is awaited, so that `skip` may be called meanwhile.
    const segment = this.segmentToRead();
    const from = this.readOffset;
    const lengths: number[] = [];
    let size = 0;
    while (
      this.readable > 0 &&
      from + size < segment.size &&
      (size === 0 || size + HEADER + this.unread.at(0) <= READ_BYTES)
    ) {
      const length = this.unread.shift();
      lengths.push(length);
      size += HEADER + length;
    }
    this.readOffset += size;
    return await guarded(this.folder, async () => {
      const buffer = Buffer.allocUnsafeSlow(size);
      await segment.file.read(buffer, 0, size, from);
      let at = 0;
      return lengths.map((length) => {
        at += HEADER + length;
        return buffer.subarray(at - length, at);
      });
    });
  }

  /**
   * Passes over the oldest record that was not read, as if it had been read, and returns its length. Undefined when there
   * is none that is written.
   */
  skip(): number | undefined {
    if (this.readable === 0) return undefined;
    this.segmentToRead();
    const length = this.unread.shift();
    this.readOffset += HEADER + length;
    return length;
  }

  /** The oldest `count` records that were read are needed no more. Deletes segments that are done with. */
  async release(count: number, bytes: number): Promise<void> {
    this.records -= count;
    this.bytes -= bytes;
    this.released += count;
    await guarded(this.folder, async () => {
      let first = this.segments[0];
      while (
        first !== undefined &&
        this.segments.length > 1 &&
        this.released >= first.held &&
        this.readSegment > first.number
      ) {
        this.released -= first.held;
        this.segments.shift();
        await first.file.close();
        await rm(segmentPath(this.folder, first.number), { force: true });
        first = this.segments[0];
      }
    });
  }

  /** Remembers how far records were released, so that fewer come again after a restart. */
  async saveProgress(): Promise<void> {
    const [first] = this.segments;
    if (first === undefined) return;
    await guarded(this.folder, async () => {
      const path = join(this.folder, "released.json");
      await writeFile(`${path}.new`, JSON.stringify({ segment: first.number, records: this.released }));
      await rename(`${path}.new`, path);
    });
  }

  async close(): Promise<void> {
    for (const { file } of this.segments) await file.close();
  }

  /** The segment in which the next record to read begins. */
  private segmentToRead(): Segment {
    const current = this.segments.find(({ number }) => number === this.readSegment)!;
    if (this.readOffset < current.size) return current;
    const next = this.segments.find(({ number }) => number > current.number)!;
    this.readSegment = next.number;
    this.readOffset = 0;
    return next;
  }

  private async writable(): Promise<Segment> {
    const last = this.segments.at(-1)!;
    if (last.size < SEGMENT_BYTES) return last;
    const segment = await openSegment(this.folder, last.number + 1);
    this.segments.push(segment);
    return segment;
  }
}

interface Recovered {
  readonly segments: Segment[];
  readonly unread: Ring<number>;
  readonly bytes: number;
  readonly readSegment: number;
  readonly readOffset: number;
  readonly released: number;
}

async function recover(folder: string): Promise<Recovered> {
  const numbers = (await readdir(folder))
    .map((name) => /^(\d+)\.segment$/.exec(name)?.[1])
    .filter((match) => match !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  const progress = await readProgress(folder);
  const segments: Segment[] = [];
  const unread = new Ring<number>(1024);
  let bytes = 0;
  let readOffset = 0;
  for (const number of numbers.length === 0 ? [1] : numbers) {
    const segment = await openSegment(folder, number);
    const lengths = await scan(segment);
    const done = progress.segment === number ? Math.min(progress.records, lengths.length) : 0;
    lengths.forEach((length, index) => {
      if (index < done) readOffset += HEADER + length;
      else {
        unread.push(length);
        bytes += length;
      }
    });
    segment.held = lengths.length;
    segments.push(segment);
  }
  const first = segments[0]!;
  const released = progress.segment === first.number ? Math.min(progress.records, first.held) : 0;
  return { segments, unread, bytes, readSegment: first.number, readOffset, released };
}

/** The lengths of the whole records; cuts off a torn rest. */
async function scan(segment: Segment): Promise<number[]> {
  const bytes = await segment.file.readFile();
  const lengths: number[] = [];
  let at = 0;
  while (at + HEADER <= bytes.length) {
    const length = bytes.readUInt32BE(at);
    const end = at + HEADER + length;
    if (end > bytes.length || crc32(bytes.subarray(at + HEADER, end)) !== bytes.readUInt32BE(at + 4)) break;
    lengths.push(length);
    at = end;
  }
  if (at < bytes.length) await segment.file.truncate(at);
  segment.size = at;
  return lengths;
}

async function readProgress(folder: string): Promise<{ readonly segment: number; readonly records: number }> {
  try {
    return JSON.parse(await readFile(join(folder, "released.json"), "utf8")) as { segment: number; records: number };
  } catch {
    // Without it records come again, which at least once allows.
    return { segment: 0, records: 0 };
  }
}

async function openSegment(folder: string, number: number): Promise<Segment> {
  const path = segmentPath(folder, number);
  const file = await open(path, "a+").then(async (made) => {
    await made.close();
    return await open(path, "r+");
  });
  return { number, file, size: 0, held: 0 };
}

function segmentPath(folder: string, number: number): string {
  return join(folder, `${String(number).padStart(10, "0")}.segment`);
}

async function guarded<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new FlowctlError({
      code: "stream/buffer-failed",
      kind: "unavailable",
      message: `the disk buffer in ${folder} failed: ${messageOf(error)}`,
      fix: "see that the disk is there, writable and not full",
      cause: error,
    });
  }
}
