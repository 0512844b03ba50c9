import { EVENT_IN_BATCH_TAG, EventTag, EventView, type FieldVisitor } from "./event-view.ts";
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

/** What a derived event has of its own; what is left out or undefined stays as it was. */
export type EventChanges = Pick<EventFields, "id" | "sourceComponentId"> & {
  readonly [Field in Exclude<keyof EventFields, "id" | "sourceComponentId">]?: EventFields[Field] | undefined;
};

const SLAB_BYTES = 128 * 1024;
const MAX_CACHED_STRINGS = 256;

/**
 * Encodes events, each once, into shared slabs of memory: one allocation for hundreds of events. An event keeps its
 * slab alive as long as it is held. Not for use by two writers at once (JavaScript gives that for free).
 */
export class EventEncoder {
  private slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private used = 0;
  private readonly kept = new KeptFields();
  private readonly types = new FieldCache(EventTag.type);
  private readonly sources = new FieldCache(EventTag.sourceComponentId);
  private readonly contentTypes = new FieldCache(EventTag.contentType);
  private readonly metadata = new MetadataCache();
  private readonly timestamps = new TimestampCache();

  encode(fields: EventFields): EventView {
    const id = fields.id;
    const idBytes = utf8Size(id);
    const type = this.types.get(fields.type);
    const source = this.sources.get(fields.sourceComponentId);
    const contentType = this.contentTypes.get(fields.contentType);
    const payload = fields.payload;
    const payloadBytes = typeof payload === "string" ? utf8Size(payload) : payload.length;
    const metadata = this.metadata.get(fields.metadata);
    const timestamp = this.timestamps.get(fields.timestamp);

    let size = type.length + source.length + contentType.length + metadata.length + timestamp.length;
    if (idBytes > 0) size += 1 + varintSize(idBytes) + idBytes;
    if (payloadBytes > 0) size += 1 + varintSize(payloadBytes) + payloadBytes;

    const total = 1 + varintSize(size) + size;
    const start = this.reserve(total);
    const slab = this.slab;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    let at = body;
    if (idBytes > 0) at = writeString(slab, at, EventTag.id, id, idBytes);
    at = copy(slab, at, type);
    if (payloadBytes > 0) at = writePayload(slab, at, payload, payloadBytes);
    at = copy(slab, at, metadata);
    at = copy(slab, at, timestamp);
    at = copy(slab, at, source);
    at = copy(slab, at, contentType);
    return new EventView(slab, start, body, at);
  }

  /**
   * An event made from another one: what `changes` gives is new, everything else is copied as it is, without being decoded.
   * Fields that this version does not know are kept.
   */
  derive(from: EventView, changes: EventChanges): EventView {
    const { id, payload } = changes;
    const type = changes.type === undefined ? NOTHING : this.types.get(changes.type);
    const source = this.sources.get(changes.sourceComponentId);
    const contentType = changes.contentType === undefined ? NOTHING : this.contentTypes.get(changes.contentType);
    const metadata = this.metadata.get(changes.metadata);
    const idBytes = utf8Size(id);
    const payloadBytes = payload === undefined ? 0 : typeof payload === "string" ? utf8Size(payload) : payload.length;
    const timestamp = this.timestamps.get(changes.timestamp);

    const { kept } = this;
    kept.begin(changes);
    from.visitFields(kept);
    let { size } = kept;
    size += type.length + source.length + contentType.length + metadata.length + timestamp.length;
    if (idBytes > 0) size += 1 + varintSize(idBytes) + idBytes;
    if (payloadBytes > 0) size += 1 + varintSize(payloadBytes) + payloadBytes;

    const start = this.reserve(1 + varintSize(size) + size);
    const slab = this.slab;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    let at = body;
    if (idBytes > 0) at = writeString(slab, at, EventTag.id, id, idBytes);
    at = copy(slab, at, type);
    if (payload !== undefined && payloadBytes > 0) at = writePayload(slab, at, payload, payloadBytes);
    at = kept.copy(from.buffer, slab, at);
    at = copy(slab, at, metadata);
    at = copy(slab, at, timestamp);
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
    const size = event.size + metadataSize(entries);
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
}

/**
 * The encoded metadata of the last event: what one component writes is mostly the same again and again. It is compared
 * entry by entry, so that it does not matter whether the author changed the object meanwhile.
 */
class MetadataCache {
  private readonly keys: string[] = [];
  private readonly values: string[] = [];
  private encoded: Buffer = NOTHING;

  get(metadata: Readonly<Record<string, string>> | undefined): Buffer {
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

  private encode(metadata: Readonly<Record<string, string>>): Buffer {
    const entries = Object.entries(metadata);
    this.keys.length = 0;
    this.values.length = 0;
    this.encoded = Buffer.allocUnsafeSlow(metadataSize(entries));
    let at = 0;
    for (const [key, value] of entries) {
      this.keys.push(key);
      this.values.push(value);
      at = writeEntry(this.encoded, at, key, value);
    }
    return this.encoded;
  }
}

/** The encoded timestamp of the last event: many events share their millisecond. */
class TimestampCache {
  private time: number | undefined;
  private encoded: Buffer = NOTHING;

  get(time: number | undefined): Buffer {
    if (time === undefined) return NOTHING;
    if (time !== this.time) {
      const bytes = timestampSize(time);
      this.encoded = Buffer.allocUnsafeSlow(1 + varintSize(bytes) + bytes);
      writeTimestamp(this.encoded, 0, time, bytes);
      this.time = time;
    }
    return this.encoded;
  }
}

/** The fields of an event that stay when another is derived from it. */
class KeptFields implements FieldVisitor {
  size = 0;
  private changes: EventChanges = { id: "", sourceComponentId: "" };
  /** Pairs of offsets: begin and end of what stays. */
  private readonly ranges: number[] = [];

  begin(changes: EventChanges): void {
    this.changes = changes;
    this.size = 0;
    this.ranges.length = 0;
  }

  field(tag: number, from: number, _start: number, end: number): void {
    if (isReplaced(tag, this.changes)) return;
    const { ranges } = this;
    this.size += end - from;
    if (ranges.length > 0 && ranges[ranges.length - 1] === from) ranges[ranges.length - 1] = end;
    else ranges.push(from, end);
  }

  copy(source: Buffer, target: Buffer, offset: number): number {
    let at = offset;
    for (let i = 0; i < this.ranges.length; i += 2) {
      const from = this.ranges[i]!;
      const end = this.ranges[i + 1]!;
      source.copy(target, at, from, end);
      at += end - from;
    }
    return at;
  }
}

/** Whole fields for strings that come again and again. */
class FieldCache {
  private readonly tag: number;
  private readonly fields = new Map<string, Buffer>();
  private lastValue = "";
  private lastField: Buffer = NOTHING;

  constructor(tag: number) {
    this.tag = tag;
  }

  get(value: string): Buffer {
    if (value === this.lastValue) return this.lastField;
    let field = this.fields.get(value);
    if (field === undefined) {
      const bytes = utf8Size(value);
      field = Buffer.allocUnsafeSlow(bytes === 0 ? 0 : 1 + varintSize(bytes) + bytes);
      if (bytes > 0) writeString(field, 0, this.tag, value, bytes);
      if (this.fields.size >= MAX_CACHED_STRINGS) this.fields.clear();
      this.fields.set(value, field);
    }
    this.lastValue = value;
    this.lastField = field;
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

function writePayload(buffer: Buffer, offset: number, payload: Uint8Array | string, bytes: number): number {
  if (typeof payload === "string") return writeString(buffer, offset, EventTag.payload, payload, bytes);
  buffer[offset] = EventTag.payload;
  const at = writeVarint(buffer, offset + 1, bytes);
  buffer.set(payload, at);
  return at + bytes;
}

function isReplaced(tag: number, changes: EventChanges): boolean {
  switch (tag) {
    case EventTag.id:
    case EventTag.sourceComponentId:
      return true;
    case EventTag.type:
      return changes.type !== undefined;
    case EventTag.payload:
      return changes.payload !== undefined;
    case EventTag.metadata:
      return changes.metadata !== undefined;
    case EventTag.timestamp:
      return changes.timestamp !== undefined;
    case EventTag.contentType:
      return changes.contentType !== undefined;
    default:
      return false;
  }
}

function metadataSize(entries: readonly (readonly [key: string, value: string])[]): number {
  let size = 0;
  for (const [key, value] of entries) {
    const entry = entrySize(key, value);
    size += 1 + varintSize(entry) + entry;
  }
  return size;
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
