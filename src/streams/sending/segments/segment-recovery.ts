import { type FileLike, readWhole } from "../../../foundation/durable-file.ts";
import type { Segment, SegmentFolder } from "./segment-folder.ts";
import { decodeSegmentHead, HEAD_BYTES, recordAt, wasSynced } from "./segment-format.ts";
import type { Progress } from "./segment-progress.ts";

/** Where a log that was found in a folder goes on. */
export interface Recovered {
  /** The oldest position that is needed. */
  readonly released: number;
  /** The position that the next event gets. */
  readonly next: number;
  /** Content of all events that the log ever had, and of those that are needed. */
  readonly totalBytes: number;
  readonly heldBytes: number;
  /** The last segment, where there is one, and how many bytes of its file are used. */
  readonly last: { readonly file: FileLike; readonly size: number } | undefined;
}

/**
 * Finds out what a crash left. The rest of a write that nobody was told of is cut off. Whatever else is missing or no record
 * had been confirmed: that is `stream/buffer-damaged`, and nothing is changed.
 */
export async function recoverSegments(folder: SegmentFolder, progress: Progress | undefined): Promise<Recovered> {
  const { numbers, givenUp } = await folder.list();
  const unused = await readHeads(folder, numbers, givenUp);
  const recovered = await recoverListed(folder, numbers, progress, givenUp);
  if (unused !== undefined) await folder.discard(unused);
  return recovered;
}

async function recoverListed(
  folder: SegmentFolder,
  numbers: readonly number[],
  progress: Progress | undefined,
  givenUp: ReadonlySet<number>,
): Promise<Recovered> {
  const confirmed = progress?.confirmed ?? 0;
  const last = folder.segments.at(-1);
  if (last === undefined) {
    const isLost = confirmed > (progress?.released ?? 0) && givenUp.size === 0;
    if (isLost) throw folder.damaged(numbers.at(-1) ?? 1, "confirmed events are missing");
    return { released: confirmed, next: confirmed, totalBytes: 0, heldBytes: 0, last: undefined };
  }
  let lostBytes = 0;
  for (const [index, segment] of folder.segments.slice(0, -1).entries()) {
    if (segment.end !== undefined) continue;
    // What follows it was given up.
    const { next, content } = await scan(folder, segment);
    segment.end = next;
    lostBytes += folder.segments[index + 1]!.bytesBefore - segment.bytesBefore - content;
  }
  const file = await folder.open(last.number);
  try {
    return await recoverLast(folder, last, file, progress, givenUp, lostBytes);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function recoverLast(
  folder: SegmentFolder,
  last: Segment,
  file: FileLike,
  progress: Progress | undefined,
  givenUp: ReadonlySet<number>,
  lostBytes: number,
): Promise<Recovered> {
  const { bytes, next, size, content } = await scan(folder, last);
  const isGivenUp = [...givenUp].some((number) => number > last.number);
  const confirmed = progress?.confirmed ?? 0;
  if (wasSynced(bytes, size, next) || (confirmed > next && !isGivenUp))
    throw folder.damaged(last.number, `the confirmed record at offset ${size} is incomplete`);
  if (size < bytes.length) await file.truncate(size);
  const totalBytes = last.bytesBefore + content;
  const begin = isGivenUp ? Math.max(next, confirmed) : next;
  const position = Math.min(begin, progress?.released ?? 0);
  while (folder.segments.length > 1 && folder.segments[1]!.first <= position) await folder.retire();
  const first = folder.segments[0]!;
  const heldBytes = totalBytes - lostBytes - (await bytesUpTo(folder, first, position));
  const recovered = { released: Math.max(position, first.first), next: begin, totalBytes, heldBytes };
  if (!isGivenUp) return { ...recovered, last: { file, size } };
  // Its successor is gone: positions that it had are not used again.
  last.end = next;
  await file.close();
  return { ...recovered, last: undefined };
}

/** Content before the record with the event at `position`, in all segments that the log ever had. */
async function bytesUpTo(folder: SegmentFolder, segment: Segment, position: number): Promise<number> {
  const { records } = await scan(folder, segment);
  let bytes = segment.bytesBefore;
  for (const record of records) {
    if (record.first + record.count > position) break;
    bytes += record.bytes;
  }
  return bytes;
}

/** Puts the segments into the folder's list. Returns the newest, where nothing was written to it yet. */
async function readHeads(
  folder: SegmentFolder,
  numbers: readonly number[],
  givenUp: ReadonlySet<number>,
): Promise<number | undefined> {
  for (const [index, number] of numbers.entries()) {
    const file = await folder.open(number);
    const buffer = Buffer.alloc(HEAD_BYTES);
    await readWhole(file, buffer, 0).finally(() => file.close());
    const head = decodeSegmentHead(buffer);
    const previous = folder.segments.at(-1);
    if (head?.number !== number) return await unusedSegment(folder, number, index === numbers.length - 1);
    if (previous !== undefined) {
      for (let between = previous.number + 1; between < number; between++) {
        if (!givenUp.has(between)) throw folder.damaged(between, "the file is missing");
      }
      if (previous.number === number - 1) previous.end = head.first;
    }
    folder.segments.push({ ...head, end: undefined });
  }
  return undefined;
}

/** A kill before anything was written to the newest segment leaves it without a head of its own. */
async function unusedSegment(folder: SegmentFolder, number: number, isNewest: boolean): Promise<number> {
  const bytes = await readFile(folder, number);
  const expected = folder.segments.at(-1)?.first ?? 0;
  if (!isNewest || wasSynced(bytes, 0, expected)) throw folder.damaged(number, "the header cannot be read");
  return number;
}

interface Scanned {
  readonly bytes: Buffer;
  readonly records: readonly { readonly first: number; readonly count: number; readonly bytes: number }[];
  /** Where the whole records end: the position, and the place in the file. */
  readonly next: number;
  readonly size: number;
  readonly content: number;
}

/** The whole records at the start of a segment. */
async function scan(folder: SegmentFolder, segment: Segment): Promise<Scanned> {
  const bytes = await readFile(folder, segment.number);
  const records: { first: number; count: number; bytes: number }[] = [];
  let next = segment.first;
  let size = HEAD_BYTES;
  let content = 0;
  for (;;) {
    const found = recordAt(bytes, size, next);
    if (found === undefined) break;
    const length = found.end - found.start;
    records.push({ first: next, count: found.count, bytes: length });
    content += length;
    next += found.count;
    size = found.end;
  }
  if (segment.end !== undefined && next < segment.end)
    throw folder.damaged(segment.number, `the record at offset ${size} is incomplete`);
  return { bytes, records, next, size, content };
}

async function readFile(folder: SegmentFolder, number: number): Promise<Buffer> {
  const file = await folder.open(number);
  try {
    const chunks: Buffer[] = [];
    for (let at = 0; ; ) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const read = await readWhole(file, chunk, at);
      chunks.push(chunk.subarray(0, read));
      at += read;
      if (read < chunk.length) return Buffer.concat(chunks, at);
    }
  } finally {
    await file.close();
  }
}

const CHUNK_BYTES = 4 * 1024 * 1024;
