import {
  digitsOf,
  encodeMetadata,
  FieldCache,
  fieldSize,
  MetadataCache,
  NOTHING,
  TailCache,
  TextCache,
  TimestampCache,
  utf8Size,
  writeDigits,
  writeText,
} from "./encoded-fields.ts";
import { EVENT_IN_BATCH_TAG, EventTag, EventView, type FieldVisitor } from "./event-view.ts";
import { SLAB_BYTES, type SlabPool } from "./slab-pool.ts";
import { varintSize, writeVarint } from "./wire.ts";

/** The fields of a new event. Empty strings and `undefined` are left out on the wire, as proto3 does. */
export interface EventFields {
  readonly id: string;
  /** A non-negative safe integer that follows `id`, in decimal: cheaper than a string made of both. */
  readonly idNumber?: number | undefined;
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
export interface EventChanges {
  /** Left out: the id of the original, followed by `idSuffix`. */
  readonly id?: string | undefined;
  readonly idSuffix: string;
  readonly type?: string | undefined;
  readonly payload?: Uint8Array | string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly timestamp?: number | undefined;
  readonly sourceComponentId: string;
  readonly contentType?: string | undefined;
}

/** Up to here room is made for the largest that a text can become, instead of measuring it first. */
const MEASURED_TEXT = 4096;
/** Tags and lengths around an event, an id and a payload. */
const OVERHEAD = 3 * 6;

/**
 * Encodes events, each once, into shared slabs of memory: one allocation for hundreds of events. Without a pool an event
 * keeps its slab alive as long as it is held; with one, it has to be retained there before the next event is encoded.
 */
export class EventEncoder {
  private readonly pool: SlabPool | undefined;
  private slab: Buffer = Buffer.alloc(0);
  private slabView = viewOf(this.slab);
  private used = 0;
  private readonly kept = new KeptFields();
  private readonly types = new FieldCache(EventTag.type);
  private readonly sources = new FieldCache(EventTag.sourceComponentId);
  private readonly contentTypes = new FieldCache(EventTag.contentType);
  private readonly metadata = new MetadataCache();
  private readonly timestamps = new TimestampCache();
  private readonly tails = new TailCache();
  private readonly idPrefixes = new TextCache();

  constructor(pool?: SlabPool) {
    this.pool = pool;
  }

  encode(fields: EventFields): EventView<undefined> {
    const { id, idNumber, payload } = fields;
    const type = this.types.get(fields.type);
    const tail = this.tails.get(
      this.metadata.get(fields.metadata),
      this.timestamps.get(fields.timestamp),
      this.sources.get(fields.sourceComponentId),
      this.contentTypes.get(fields.contentType),
    );
    // One that a number follows is the same for all events of a component.
    const prefix = idNumber === undefined ? undefined : this.idPrefixes.get(id);
    const textBytes = prefix === undefined ? utf8Size(id) : prefix.length;
    const digits = idNumber === undefined ? 0 : digitsOf(idNumber);
    const idBytes = textBytes + digits;
    const before = fieldSize(idBytes) + type.length;
    const start = this.reserve(before + largestSize(payload) + tail.length);
    const { slab } = this;
    const payloadBytes = placePayload(slab, start, before, tail.length, payload);
    const size = before + fieldSize(payloadBytes) + tail.length;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    let at = body;
    if (idBytes > 0) {
      slab[at] = EventTag.id;
      at = writeVarint(slab, at + 1, idBytes);
      at = prefix === undefined ? writeText(slab, at, id, textBytes) : prefix.copy(this.slabView, at);
      if (idNumber !== undefined) at = writeDigits(slab, at, idNumber, digits);
    }
    at = type.copy(this.slabView, at);
    at = passPayload(slab, at, payloadBytes);
    return this.finish(start, body, tail.copy(this.slabView, at));
  }

  /**
   * An event made from another one: what `changes` gives is new, everything else is copied as it is, without being decoded.
   * Fields that this version does not know are kept.
   */
  derive(from: EventView, changes: EventChanges): EventView<undefined> {
    const { payload } = changes;
    const type = changes.type === undefined ? NOTHING : this.types.get(changes.type);
    const tail = this.tails.get(
      this.metadata.get(changes.metadata),
      this.timestamps.get(changes.timestamp),
      this.sources.get(changes.sourceComponentId),
      changes.contentType === undefined ? NOTHING : this.contentTypes.get(changes.contentType),
    );
    const { kept } = this;
    kept.begin(changes);
    from.visitFields(kept);
    // Either the id that is given, or that of the original and what follows it.
    const text = changes.id ?? changes.idSuffix;
    const copied = changes.id === undefined ? kept.idEnd - kept.idStart : 0;
    const textBytes = utf8Size(text);
    const idBytes = copied + textBytes;
    const before = fieldSize(idBytes) + type.length;
    const after = kept.size + tail.length;
    const start = this.reserve(before + (payload === undefined ? 0 : largestSize(payload)) + after);
    const { slab } = this;
    const payloadBytes = payload === undefined ? 0 : placePayload(slab, start, before, after, payload);
    const size = before + fieldSize(payloadBytes) + after;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    let at = body;
    if (idBytes > 0) {
      slab[at] = EventTag.id;
      at = writeVarint(slab, at + 1, idBytes);
      from.buffer.copy(slab, at, kept.idStart, kept.idStart + copied);
      at = writeText(slab, at + copied, text, textBytes);
    }
    at = type.copy(this.slabView, at);
    at = passPayload(slab, at, payloadBytes);
    at = kept.copy(from.buffer, slab, at);
    return this.finish(start, body, tail.copy(this.slabView, at));
  }

  /**
   * The event with further metadata: its own bytes unchanged, then the entries, which is how protobuf merges. A key that
   * it has already gets the new value.
   */
  withMetadata(event: EventView, metadata: Readonly<Record<string, string>>): EventView<undefined> {
    const added = encodeMetadata(Object.entries(metadata));
    const size = event.size + added.length;
    const start = this.reserve(size);
    const { slab } = this;
    slab[start] = EVENT_IN_BATCH_TAG;
    const body = writeVarint(slab, start + 1, size);
    event.buffer.copy(slab, body, event.body, event.end);
    slab.set(added, body + event.size);
    return this.finish(start, body, body + size);
  }

  /** Room for an event of at most so many bytes, tags and lengths of itself, its id and its payload not counted. */
  private reserve(bytes: number): number {
    const needed = bytes + OVERHEAD;
    if (this.used + needed > this.slab.length) this.begin(needed);
    return this.used;
  }

  /** Goes on in other memory. */
  private begin(bytes: number): void {
    // In this order: where there is no memory for a large event, this is gone on with.
    const next = this.pool?.take(bytes) ?? Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.pool?.written(this.slab);
    this.slab = next;
    this.slabView = viewOf(this.slab);
    this.used = 0;
  }

  private finish(start: number, body: number, end: number): EventView<undefined> {
    this.used = end;
    return new EventView(this.slab, start, body, end, undefined, 0);
  }
}

/** The fields of an event that stay when another is derived from it, and where its id is. */
class KeptFields implements FieldVisitor {
  size = 0;
  idStart = 0;
  idEnd = 0;
  private changes: EventChanges = { idSuffix: "", sourceComponentId: "" };
  /** Pairs of offsets: begin and end of what stays. */
  private readonly ranges: number[] = [];

  begin(changes: EventChanges): void {
    this.changes = changes;
    this.size = 0;
    this.idStart = 0;
    this.idEnd = 0;
    this.ranges.length = 0;
  }

  field(tag: number, from: number, start: number, end: number): void {
    if (tag === EventTag.id) {
      this.idStart = start;
      this.idEnd = end;
    }
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

function viewOf(slab: Buffer): DataView {
  return new DataView(slab.buffer, slab.byteOffset, slab.length);
}

/** The most bytes that a payload can take. */
function largestSize(payload: Uint8Array | string): number {
  if (typeof payload !== "string") return payload.length;
  return payload.length <= MEASURED_TEXT ? payload.length * 3 : Buffer.byteLength(payload);
}

/**
 * Writes the content of the payload to where it belongs, which is decided by its own size, as lengths take one byte or more.
 * Returns the size. `before` and `after` are the sizes of what precedes and follows it in the event.
 */
function placePayload(
  slab: Buffer,
  start: number,
  before: number,
  after: number,
  payload: Uint8Array | string,
): number {
  if (typeof payload !== "string") {
    slab.set(payload, payloadOffset(start, before, after, payload.length));
    return payload.length;
  }
  if (payload === "") return 0;
  const guess = payloadOffset(start, before, after, payload.length);
  const bytes = slab.write(payload, guess);
  const right = payloadOffset(start, before, after, bytes);
  if (right !== guess) slab.copyWithin(right, guess, guess + bytes);
  return bytes;
}

function payloadOffset(start: number, before: number, after: number, bytes: number): number {
  return start + 1 + varintSize(before + fieldSize(bytes) + after) + before + 1 + varintSize(bytes);
}

/** Writes tag and length of a payload whose content is there already, and returns where it ends. */
function passPayload(slab: Buffer, offset: number, bytes: number): number {
  if (bytes === 0) return offset;
  slab[offset] = EventTag.payload;
  return writeVarint(slab, offset + 1, bytes) + bytes;
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
