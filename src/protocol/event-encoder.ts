import { EVENT_IN_BATCH_TAG, EventTag, EventView } from "./event-view.ts";
import { varintSize, writeVarint } from "./wire.ts";

/** The fields of a new event. Empty strings and `undefined` are left out on the wire, as proto3 does. */
export interface EventFields {
  readonly id: string;
  readonly type: string;
  /** Bytes, or text that is written as UTF-8. */
  readonly payload: Uint8Array | string;
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** Unix milliseconds, whole. */
  readonly timestamp: number | undefined;
  readonly sourceComponentId: string;
  readonly contentType: string;
}

const SLAB_BYTES = 128 * 1024;
const MAX_CACHED_STRINGS = 256;

/**
 * Encodes events, each once, into shared slabs of memory: one allocation for hundreds of events. An event keeps its
 * slab alive as long as it is held. Not for use by two writers at once (JavaScript gives that for free).
 */
export class EventEncoder {
  private slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private used = 0;
  private readonly strings = new Map<string, Buffer>();

  encode(fields: EventFields): EventView {
    const id = fields.id;
    const idBytes = utf8Size(id);
    const type = this.constant(EventTag.type, fields.type);
    const source = this.constant(EventTag.sourceComponentId, fields.sourceComponentId);
    const contentType = this.constant(EventTag.contentType, fields.contentType);
    const payload = fields.payload;
    const payloadBytes = typeof payload === "string" ? utf8Size(payload) : payload.length;
    const metadata = fields.metadata === undefined ? undefined : Object.entries(fields.metadata);
    const time = fields.timestamp;
    const timeBytes = time === undefined ? 0 : timestampSize(time);

    let size = type.length + source.length + contentType.length;
    if (idBytes > 0) size += 1 + varintSize(idBytes) + idBytes;
    if (payloadBytes > 0) size += 1 + varintSize(payloadBytes) + payloadBytes;
    if (time !== undefined) size += 1 + varintSize(timeBytes) + timeBytes;
    if (metadata !== undefined) {
      for (const [key, value] of metadata) {
        const entry = entrySize(key, value);
        size += 1 + varintSize(entry) + entry;
      }
    }

    const total = 1 + varintSize(size) + size;
    const start = this.reserve(total);
    const slab = this.slab;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    let at = body;
    if (idBytes > 0) at = writeString(slab, at, EventTag.id, id, idBytes);
    at = copy(slab, at, type);
    if (payloadBytes > 0) {
      if (typeof payload === "string") {
        at = writeString(slab, at, EventTag.payload, payload, payloadBytes);
      } else {
        slab[at++] = EventTag.payload;
        at = writeVarint(slab, at, payloadBytes);
        slab.set(payload, at);
        at += payloadBytes;
      }
    }
    if (metadata !== undefined) for (const [key, value] of metadata) at = writeEntry(slab, at, key, value);
    if (time !== undefined) at = writeTimestamp(slab, at, time, timeBytes);
    at = copy(slab, at, source);
    at = copy(slab, at, contentType);
    return new EventView(slab, start, body, at);
  }

  /**
   * The event with further metadata: its own bytes unchanged, then the entries, which is how protobuf merges. A key that
   * it has already gets the new value.
   */
  withMetadata(event: EventView, metadata: Readonly<Record<string, string>>): EventView {
    const entries = Object.entries(metadata);
    let size = event.size;
    for (const [key, value] of entries) {
      const entry = entrySize(key, value);
      size += 1 + varintSize(entry) + entry;
    }
    const start = this.reserve(1 + varintSize(size) + size);
    const slab = this.slab;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    event.buffer.copy(slab, body, event.body, event.end);
    let at = body + event.size;
    for (const [key, value] of entries) at = writeEntry(slab, at, key, value);
    return new EventView(slab, start, body, at);
  }

  private reserve(bytes: number): number {
    if (this.used + bytes > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.used = 0;
    }
    const start = this.used;
    this.used += bytes;
    return start;
  }

  /** A whole field for a string that comes again and again. */
  private constant(tag: number, value: string): Buffer {
    if (value === "") return NOTHING;
    const key = `${tag}${value}`;
    let field = this.strings.get(key);
    if (field === undefined) {
      const bytes = utf8Size(value);
      field = Buffer.allocUnsafeSlow(1 + varintSize(bytes) + bytes);
      writeString(field, 0, tag, value, bytes);
      if (this.strings.size >= MAX_CACHED_STRINGS) this.strings.clear();
      this.strings.set(key, field);
    }
    return field;
  }
}

const NOTHING = Buffer.alloc(0);

function utf8Size(text: string): number {
  if (text.length > 64) return Buffer.byteLength(text);
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text);
  return text.length;
}

function writeString(buffer: Buffer, offset: number, tag: number, text: string, bytes: number): number {
  buffer[offset] = tag;
  const at = writeVarint(buffer, offset + 1, bytes);
  if (bytes === text.length) {
    if (bytes > 64) buffer.write(text, at, bytes, "latin1");
    else for (let i = 0; i < bytes; i++) buffer[at + i] = text.charCodeAt(i);
  } else {
    buffer.write(text, at, bytes, "utf8");
  }
  return at + bytes;
}

function copy(target: Buffer, offset: number, source: Buffer): number {
  for (let i = 0; i < source.length; i++) target[offset + i] = source[i]!;
  return offset + source.length;
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

function split(time: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(time / 1000);
  return { seconds, nanos: (time - seconds * 1000) * 1e6 };
}

function timestampSize(time: number): number {
  const { seconds, nanos } = split(time);
  const secondsSize = seconds === 0 ? 0 : 1 + (seconds < 0 ? 10 : varintSize(seconds));
  return secondsSize + (nanos === 0 ? 0 : 1 + varintSize(nanos));
}

function writeTimestamp(buffer: Buffer, offset: number, time: number, bytes: number): number {
  const { seconds, nanos } = split(time);
  buffer[offset] = EventTag.timestamp;
  let at = writeVarint(buffer, offset + 1, bytes);
  if (seconds !== 0) {
    buffer[at++] = 0x08;
    at = seconds < 0 ? writeNegative(buffer, at, seconds) : writeVarint(buffer, at, seconds);
  }
  if (nanos !== 0) {
    buffer[at++] = 0x10;
    at = writeVarint(buffer, at, nanos);
  }
  return at;
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
