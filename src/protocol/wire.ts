import { FlowctlError } from "../foundation/errors.ts";

/**
 * The protobuf wire format (https://protobuf.dev/programming-guides/encoding/): just what the data plane needs, with
 * every bound checked. Damaged bytes throw `protocol/malformed`; nothing is ever read outside the given range.
 */
export const WireType = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

const MAX_GROUP_DEPTH = 32;

export function malformed(what: string): FlowctlError {
  return new FlowctlError({ code: "protocol/malformed", kind: "invalid", message: `malformed protobuf: ${what}` });
}

/** A position in a range of bytes. Reading moves it on. */
export class WireReader {
  readonly buffer: Uint8Array;
  position: number;
  readonly end: number;

  constructor(buffer: Uint8Array, start = 0, end = buffer.length) {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** A varint that fits 32 bits without sign: a tag or a length. Higher bits are an error. */
  uint32(): number {
    const { buffer, end } = this;
    let at = this.position;
    if (at >= end) throw malformed("unexpected end in a number");
    let byte = buffer[at++]!;
    let value = byte & 0x7f;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      if (at >= end) throw malformed("unexpected end in a number");
      byte = buffer[at++]!;
      if (shift === 28) {
        if (byte > 0x0f) throw malformed("a tag or length exceeds 32 bits");
        value += byte * 0x1000_0000;
        break;
      }
      value |= (byte & 0x7f) << shift;
    }
    this.position = at;
    return value;
  }

  /** A varint as a JavaScript number. More than 2^53 - 1 is an error, as sequence numbers and sizes never get there. */
  safeInteger(): number {
    const small = this.small();
    if (small !== undefined) return small;
    const value = this.uint64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed("a number is larger than 2^53 - 1");
    return Number(value);
  }

  /** An int64 as a JavaScript number, which is exact up to 2^53. */
  int64(): number {
    return this.small() ?? Number(BigInt.asIntN(64, this.uint64()));
  }

  /** An int32; longer varints are cut, as the specification says. */
  int32(): number {
    const small = this.small();
    return small === undefined ? Number(BigInt.asIntN(32, this.uint64())) : small | 0;
  }

  /** A varint of up to 64 bits; bits above are cut off as the specification says. */
  uint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.position >= this.end) throw malformed("unexpected end in a number");
      const byte = this.buffer[this.position++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw malformed("a number is too long");
  }

  /** A varint of at most 49 bits, without detour; undefined, and nothing read, for a longer one. */
  private small(): number | undefined {
    const { buffer, end } = this;
    let value = 0;
    let scale = 1;
    for (let at = this.position; at < end && at < this.position + 7; at++) {
      const byte = buffer[at]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.position = at + 1;
        return value;
      }
      scale *= 0x80;
    }
    return undefined;
  }

  /** Reads the length of a bytes field and returns where it ends; the position is then at its first byte. */
  lengthEnd(): number {
    const length = this.uint32();
    const end = this.position + length;
    if (end > this.end) throw malformed(`a field of ${length} bytes exceeds its message`);
    return end;
  }

  /** Passes over the value of a field with this tag. */
  skip(tag: number, depth = 0): void {
    switch (tag & 7) {
      case WireType.varint:
        this.skipVarint();
        return;
      case WireType.fixed64:
        this.advance(8);
        return;
      case WireType.bytes:
        this.position = this.lengthEnd();
        return;
      case WireType.fixed32:
        this.advance(4);
        return;
      case WireType.groupStart:
        this.skipGroup(tag >>> 3, depth);
        return;
      default:
        throw malformed(`unexpected wire type ${tag & 7} at the start of a field`);
    }
  }

  private skipVarint(): void {
    for (let i = 0; i < 10; i++) {
      if (this.position >= this.end) throw malformed("unexpected end in a number");
      if (this.buffer[this.position++]! < 0x80) return;
    }
    throw malformed("a number is too long");
  }

  private skipGroup(field: number, depth: number): void {
    if (depth >= MAX_GROUP_DEPTH) throw malformed("groups are nested too deeply");
    for (;;) {
      const tag = this.tag();
      if ((tag & 7) === WireType.groupEnd) {
        if (tag >>> 3 !== field) throw malformed("mismatched end of a group");
        return;
      }
      this.skip(tag, depth + 1);
    }
  }

  /** A field's tag. Field number 0 is an error. */
  tag(): number {
    const tag = this.uint32();
    if (tag >>> 3 === 0) throw malformed("field number 0");
    return tag;
  }

  private advance(bytes: number): void {
    if (this.position + bytes > this.end) throw malformed("unexpected end in a fixed-size number");
    this.position += bytes;
  }
}

/** Bytes that `value` takes as a varint. `value` is a non-negative safe integer. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let size = 4;
  for (let rest = Math.floor(value / 0x1000_0000); rest > 0; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/** Writes a non-negative safe integer as a varint and returns the offset after it. The caller has made room. */
export function writeVarint(buffer: Uint8Array, offset: number, value: number): number {
  let rest = value;
  let at = offset;
  while (rest >= 0x8000_0000) {
    buffer[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  let low = rest | 0;
  while (low > 0x7f) {
    buffer[at++] = (low & 0x7f) | 0x80;
    low >>>= 7;
  }
  buffer[at++] = low;
  return at;
}
