import { crc32 } from "node:zlib";

/**
 * A segment file: its head, then records without a gap. What follows the last record is not read: a segment is written over
 * a file that an older one lay in. Numbers are big-endian, 6 bytes wide where they count events or bytes of a whole log.
 *
 * Head (40 bytes): magic (8), number of the segment (8), position of its first event (8), bytes of content in the log before
 * it (8), CRC-32 of all that (4), zero (4).
 *
 * Record: magic (4), CRC-32 of all that follows (4), length of the content (4), events in it (4), position of the first of
 * them (8), how many bytes of this file were on the disk when it was written (4), zero (4), content.
 */
export const HEAD_BYTES = 40;
export const RECORD_HEAD_BYTES = 32;

const SEGMENT_MAGIC = Buffer.from("FLOWSEG1", "latin1");
const RECORD_MAGIC = Buffer.from("FRUN", "latin1");
const CHECKED_FROM = 8;

export interface SegmentHead {
  readonly number: number;
  /** Position of its first event. */
  readonly first: number;
  /** Bytes of content in all segments before it. */
  readonly bytesBefore: number;
}

/** A record as it lies in a buffer. */
export interface FoundRecord {
  readonly first: number;
  readonly count: number;
  /** Where its content lies in the buffer; the record ends with it. */
  readonly start: number;
  readonly end: number;
}

/** The head of a record, without its content. */
export interface RecordHead {
  readonly first: number;
  readonly count: number;
  readonly length: number;
  /** How many bytes of the file were on the disk when it was written. */
  readonly synced: number;
}

export function encodeSegmentHead({ number, first, bytesBefore }: SegmentHead): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  SEGMENT_MAGIC.copy(head);
  writeCount(head, number, 8);
  writeCount(head, first, 16);
  writeCount(head, bytesBefore, 24);
  head.writeUInt32BE(crc32(head.subarray(0, 32)), 32);
  return head;
}

/** Undefined for what is no head. */
export function decodeSegmentHead(head: Buffer): SegmentHead | undefined {
  if (head.length < HEAD_BYTES || SEGMENT_MAGIC.compare(head, 0, SEGMENT_MAGIC.length) !== 0) return undefined;
  if (crc32(head.subarray(0, 32)) !== head.readUInt32BE(32)) return undefined;
  return { number: readCount(head, 8), first: readCount(head, 16), bytesBefore: readCount(head, 24) };
}

/** The head of a record with this content. */
export function encodeRecordHead(record: Omit<RecordHead, "length">, content: Uint8Array): Buffer {
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  RECORD_MAGIC.copy(head);
  head.writeUInt32BE(content.length, 8);
  head.writeUInt32BE(record.count, 12);
  writeCount(head, record.first, 16);
  head.writeUInt32BE(record.synced, 24);
  head.writeUInt32BE(crc32(content, crc32(head.subarray(CHECKED_FROM))), 4);
  return head;
}

/** What a head at `at` says, whether it is true or not; undefined when there is none. */
export function recordHeadAt(buffer: Buffer, at: number): RecordHead | undefined {
  if (at + RECORD_HEAD_BYTES > buffer.length) return undefined;
  if (RECORD_MAGIC.compare(buffer, at, at + RECORD_MAGIC.length) !== 0) return undefined;
  return {
    length: buffer.readUInt32BE(at + 8),
    count: buffer.readUInt32BE(at + 12),
    first: readCount(buffer, at + 16),
    synced: buffer.readUInt32BE(at + 24),
  };
}

/** The record at `at` whose first event has the position `expected`; undefined when it is not there whole. */
export function recordAt(buffer: Buffer, at: number, expected: number): FoundRecord | undefined {
  const head = recordHeadAt(buffer, at);
  if (head === undefined || head.first !== expected || head.count === 0 || !isWhole(buffer, at, head)) return undefined;
  const start = at + RECORD_HEAD_BYTES;
  return { first: head.first, count: head.count, start, end: start + head.length };
}

/**
 * Whether a later record proves that what lies at `at`, where nothing whole is, had been on the disk: one that was written
 * when more of the file than that was.
 */
export function wasSynced(buffer: Buffer, at: number, expected: number): boolean {
  for (let hit = buffer.indexOf(RECORD_MAGIC, at); hit !== -1; hit = buffer.indexOf(RECORD_MAGIC, hit + 1)) {
    const head = recordHeadAt(buffer, hit);
    // What an older segment left in the file has lower positions.
    if (head !== undefined && head.first >= expected && head.synced > at && isWhole(buffer, hit, head)) return true;
  }
  return false;
}

function isWhole(buffer: Buffer, at: number, { length }: RecordHead): boolean {
  const end = at + RECORD_HEAD_BYTES + length;
  return end <= buffer.length && crc32(buffer.subarray(at + CHECKED_FROM, end)) === buffer.readUInt32BE(at + 4);
}

function writeCount(buffer: Buffer, value: number, at: number): void {
  buffer.writeUIntBE(value, at + 2, 6);
}

function readCount(buffer: Buffer, at: number): number {
  return buffer.readUIntBE(at + 2, 6);
}
