import { EventTag } from "./event-view.ts";
import { varintSize, writeVarint } from "./wire.ts";

const MAX_CACHED_STRINGS = 256;
/** Up to here a loop is faster than a call into the runtime. */
const SHORT_TEXT = 24;

/** Whole encoded fields, ready to be copied: four bytes at a time, which for so few bytes beats every other way. */
export class Encoded {
  readonly bytes: Uint8Array;
  readonly length: number;
  private readonly words: Uint32Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.length = bytes.length;
    this.words = new Uint32Array(Math.floor(bytes.length / 4));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let i = 0; i < this.words.length; i++) this.words[i] = view.getUint32(i * 4, true);
  }

  /** Writes the fields from `offset` on and returns where they end. */
  copy(target: DataView, offset: number): number {
    const { words, bytes, length } = this;
    let at = offset;
    for (let i = 0; i < words.length; i++, at += 4) target.setUint32(at, words[i]!, true);
    for (let i = words.length * 4; i < length; i++) target.setUint8(at++, bytes[i]!);
    return at;
  }
}

/** The encoding of a field that is not there. */
export const NOTHING: Encoded = new Encoded(new Uint8Array(0));

/** Whole fields for strings that come again and again. */
export class FieldCache {
  private readonly tag: number;
  private readonly fields = new Map<string, Encoded>();
  private lastValue = "";
  private lastField = NOTHING;

  constructor(tag: number) {
    this.tag = tag;
  }

  get(value: string): Encoded {
    if (value === this.lastValue) return this.lastField;
    let field = this.fields.get(value);
    if (field === undefined) {
      field = encodeString(this.tag, value);
      if (this.fields.size >= MAX_CACHED_STRINGS) this.fields.clear();
      this.fields.set(value, field);
    }
    this.lastValue = value;
    this.lastField = field;
    return field;
  }
}

/**
 * The encoded metadata of the last event: what one component writes is mostly the same again and again. It is compared
 * entry by entry, so that it does not matter whether the author changed the object meanwhile.
 */
export class MetadataCache {
  private readonly keys: string[] = [];
  private readonly values: string[] = [];
  private encoded = NOTHING;

  get(metadata: Readonly<Record<string, string>> | undefined): Encoded {
    if (metadata === undefined) return NOTHING;
    return this.holds(metadata) ? this.encoded : this.encode(metadata);
  }

  private holds(metadata: Readonly<Record<string, string>>): boolean {
    let index = 0;
    for (const key in metadata) {
      if (this.keys[index] !== key || this.values[index] !== metadata[key]) return false;
      index++;
    }
    return index === this.keys.length;
  }

  private encode(metadata: Readonly<Record<string, string>>): Encoded {
    const entries = Object.entries(metadata);
    this.keys.length = 0;
    this.values.length = 0;
    for (const [key, value] of entries) {
      this.keys.push(key);
      this.values.push(value);
    }
    this.encoded = new Encoded(encodeMetadata(entries));
    return this.encoded;
  }
}

/** The encoded timestamp of the last event: many events share their millisecond. */
export class TimestampCache {
  private time: number | undefined;
  private encoded = NOTHING;

  /** @param time Unix milliseconds, whole. */
  get(time: number | undefined): Encoded {
    if (time === undefined) return NOTHING;
    if (time !== this.time) {
      this.encoded = new Encoded(encodeTimestamp(time));
      this.time = time;
    }
    return this.encoded;
  }
}

/** What follows the payload, put together: mostly the same for many events in a row. */
export class TailCache {
  private readonly parts: [Encoded, Encoded, Encoded, Encoded] = [NOTHING, NOTHING, NOTHING, NOTHING];
  private whole = NOTHING;

  /** The four fields in a row. They have to be of the caches, which give the same object for the same content. */
  get(metadata: Encoded, timestamp: Encoded, source: Encoded, contentType: Encoded): Encoded {
    const { parts } = this;
    if (parts[0] === metadata && parts[1] === timestamp && parts[2] === source && parts[3] === contentType)
      return this.whole;
    parts[0] = metadata;
    parts[1] = timestamp;
    parts[2] = source;
    parts[3] = contentType;
    this.whole = new Encoded(Buffer.concat(parts.map((part) => part.bytes)));
    return this.whole;
  }
}

/** Size of a length-delimited field with so many bytes of content; an empty one is left out. */
export function fieldSize(bytes: number): number {
  return bytes === 0 ? 0 : 1 + varintSize(bytes) + bytes;
}

export function utf8Size(text: string): number {
  if (text.length > SHORT_TEXT) return Buffer.byteLength(text);
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text);
  return text.length;
}

/** A text that begins the ids of a component. */
export class TextCache {
  private text = "";
  private encoded = NOTHING;

  get(text: string): Encoded {
    if (text !== this.text) {
      this.text = text;
      this.encoded = new Encoded(Buffer.from(text));
    }
    return this.encoded;
  }
}

/** Writes a field; `bytes` is the size of the text. Returns where it ends. */
function writeString(buffer: Buffer, offset: number, tag: number, text: string, bytes: number): number {
  buffer[offset] = tag;
  return writeText(buffer, writeVarint(buffer, offset + 1, bytes), text, bytes);
}

/** Writes the text alone. */
export function writeText(buffer: Buffer, offset: number, text: string, bytes: number): number {
  if (bytes === text.length && bytes <= SHORT_TEXT)
    for (let i = 0; i < bytes; i++) buffer[offset + i] = text.charCodeAt(i);
  else buffer.write(text, offset, bytes);
  return offset + bytes;
}

/** How many decimal digits a non-negative safe integer has. */
export function digitsOf(value: number): number {
  if (value < 10_000) return value < 100 ? (value < 10 ? 1 : 2) : value < 1000 ? 3 : 4;
  let digits = 5;
  for (let limit = 100_000; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes a non-negative safe integer in decimal. */
export function writeDigits(buffer: Buffer, offset: number, value: number, digits: number): number {
  let rest = value;
  let last = offset + digits - 1;
  for (; rest > 0x7fff_ffff; last--) {
    const tens = Math.floor(rest / 10);
    buffer[last] = 0x30 + (rest - tens * 10);
    rest = tens;
  }
  // Whole numbers of 32 bits are divided faster.
  let small = rest | 0;
  for (let at = last; at >= offset; at--) {
    const tens = (small / 10) | 0;
    buffer[at] = 0x30 + (small - tens * 10);
    small = tens;
  }
  return offset + digits;
}

function encodeString(tag: number, text: string): Encoded {
  const bytes = utf8Size(text);
  const buffer = Buffer.allocUnsafeSlow(fieldSize(bytes));
  if (bytes > 0) writeString(buffer, 0, tag, text, bytes);
  return new Encoded(buffer);
}

export function encodeMetadata(entries: readonly (readonly [key: string, value: string])[]): Buffer {
  let size = 0;
  for (const [key, value] of entries) size += fieldSize(entrySize(key, value));
  const buffer = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const [key, value] of entries) at = writeEntry(buffer, at, key, value);
  return buffer;
}

function entrySize(key: string, value: string): number {
  const keyBytes = utf8Size(key);
  const valueBytes = utf8Size(value);
  return 1 + varintSize(keyBytes) + keyBytes + 1 + varintSize(valueBytes) + valueBytes;
}

function writeEntry(buffer: Buffer, offset: number, key: string, value: string): number {
  buffer[offset] = EventTag.metadata;
  let at = writeVarint(buffer, offset + 1, entrySize(key, value));
  at = writeString(buffer, at, 0x0a, key, utf8Size(key));
  return writeString(buffer, at, 0x12, value, utf8Size(value));
}

function encodeTimestamp(time: number): Buffer {
  const { seconds, nanos } = split(time);
  const secondsSize = seconds === 0 ? 0 : 1 + (seconds < 0 ? 10 : varintSize(seconds));
  const bytes = secondsSize + (nanos === 0 ? 0 : 1 + varintSize(nanos));
  const buffer = Buffer.allocUnsafeSlow(1 + varintSize(bytes) + bytes);
  buffer[0] = EventTag.timestamp;
  let at = writeVarint(buffer, 1, bytes);
  if (seconds !== 0) {
    buffer[at++] = 0x08;
    at = seconds < 0 ? writeNegative(buffer, at, seconds) : writeVarint(buffer, at, seconds);
  }
  if (nanos !== 0) {
    buffer[at++] = 0x10;
    writeVarint(buffer, at, nanos);
  }
  return buffer;
}

function split(time: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(time / 1000);
  return { seconds, nanos: (time - seconds * 1000) * 1e6 };
}

function writeNegative(buffer: Buffer, offset: number, value: number): number {
  let rest = BigInt.asUintN(64, BigInt(value));
  let at = offset;
  while (rest > 0x7fn) {
    buffer[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  buffer[at++] = Number(rest);
  return at;
}
