import { FlowctlError, messageOf } from "../foundation/errors.ts";
import type { TextMemo } from "./text-memo.ts";
import { malformed, WireReader, WireType } from "./wire.ts";

/** Field numbers of `flowctl.event.v1.Event`, as tags (number << 3 | wire type). */
export const EventTag = {
  id: 0x0a,
  type: 0x12,
  payload: 0x1a,
  metadata: 0x22,
  timestamp: 0x2a,
  sourceComponentId: 0x32,
  contentType: 0x3a,
} as const;

/** Tag of an event inside an EventBatch. Every event is kept with it, so that a batch is a mere concatenation. */
export const EVENT_IN_BATCH_TAG = 0x12;

/** What looks at the fields of an encoded event one by one. */
export interface FieldVisitor {
  /**
   * @param from Where the field begins, its tag included.
   * @param start Where its content begins; for one that is not length-delimited, where its value begins or later.
   * @param end Where the field ends.
   */
  field(tag: number, from: number, start: number, end: number): void;
}

/** The stream that an event came by, as far as the event itself has to know. */
export interface EventOrigin {
  /** Component id of the upstream that it connects to. */
  readonly upstream: string;
  /** Decodes what the events of one stream have in common. */
  readonly texts: TextMemo;
}

const decoder = new TextDecoder();

/**
 * One encoded event, read in place: a field is decoded when it is asked for, and an event that is only handed on is
 * never decoded at all. The bytes from `start` to `end` are a field of an EventBatch: tag, length, event. Damaged bytes
 * throw `protocol/malformed` when a field is asked for.
 *
 * The memory of a received event is never changed; that of one that was encoded into a `SlabPool` is used again once nobody
 * retains it there. Nothing else holds on to a view: it lives as long as somebody looks at it, which is mostly less than it
 * takes to look at the next. One class for all events, and no subclass, as constructing one of a subclass takes three
 * times as long.
 */
export class EventView<Origin extends EventOrigin | undefined = EventOrigin | undefined> {
  readonly buffer: Buffer;
  readonly start: number;
  /** Where the event itself begins, after tag and length. */
  readonly body: number;
  readonly end: number;
  /** Undefined for an event that was made here. */
  readonly origin: Origin;
  /** Its number on the stream that it came by, from 1; 0 for an event that was made here. */
  readonly sequence: number;
  /** Made when the first field is asked for: an event that is only handed on has none. */
  private fields: FieldOffsets | undefined;

  constructor(buffer: Buffer, start: number, body: number, end: number, origin: Origin, sequence: number) {
    this.buffer = buffer;
    this.start = start;
    this.body = body;
    this.end = end;
    this.origin = origin;
    this.sequence = sequence;
  }

  /** Component id of the upstream that sent it; empty for an event that was made here. */
  get upstream(): string {
    return this.origin?.upstream ?? "";
  }

  /** Size of the event in bytes, without tag and length. */
  get size(): number {
    return this.end - this.body;
  }

  get id(): string {
    const fields = this.index();
    return this.buffer.toString("utf8", fields.idStart, fields.idEnd);
  }

  get type(): string {
    if (this.fields === undefined) {
      const at = locateShort(this.buffer, EventTag.type, this.body, this.end);
      if (at === ABSENT) return "";
      if (at !== UNUSUAL) return this.shared(at + 1, at + 1 + this.buffer[at]!);
    }
    const { typeStart, typeEnd } = this.index();
    return this.shared(typeStart, typeEnd);
  }

  get payload(): Uint8Array {
    const fields = this.index();
    return this.buffer.subarray(fields.payloadStart, fields.payloadEnd);
  }

  get sourceComponentId(): string {
    const { sourceStart, sourceEnd } = this.index();
    return this.shared(sourceStart, sourceEnd);
  }

  get contentType(): string {
    const { contentTypeStart, contentTypeEnd } = this.index();
    return this.shared(contentTypeStart, contentTypeEnd);
  }

  text(): string {
    const fields = this.index();
    return this.buffer.toString("utf8", fields.payloadStart, fields.payloadEnd);
  }

  json(): unknown {
    try {
      return JSON.parse(this.text());
    } catch (error) {
      throw new FlowctlError({
        code: "sdk/payload-not-json",
        kind: "invalid",
        message: `the payload of event ${JSON.stringify(this.id)} is not JSON: ${messageOf(error)}`,
        cause: error,
      });
    }
  }

  get metadata(): Readonly<Record<string, string>> {
    const entries: Record<string, string> = {};
    const reader = new WireReader(this.buffer, this.body, this.end);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== EventTag.metadata) {
        reader.skip(tag);
        continue;
      }
      const [key, value] = readEntry(reader);
      Object.defineProperty(entries, key, { value, enumerable: true, configurable: true, writable: true });
    }
    return entries;
  }

  get timestamp(): Date | undefined {
    const reader = new WireReader(this.buffer, this.body, this.end);
    let found = false;
    let seconds = 0;
    let nanos = 0;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== EventTag.timestamp) {
        reader.skip(tag);
        continue;
      }
      found = true;
      const inner = new WireReader(this.buffer, 0, reader.lengthEnd());
      inner.position = reader.position;
      while (!inner.done) {
        const field = inner.tag();
        if (field === 0x08) seconds = inner.int64();
        else if (field === 0x10) nanos = inner.int32();
        else inner.skip(field);
      }
      reader.position = inner.end;
    }
    return found ? new Date(seconds * 1000 + Math.floor(nanos / 1e6)) : undefined;
  }

  /** Decodes a text that many events have in common. */
  private shared(start: number, end: number): string {
    return this.origin?.texts.read(this.buffer, start, end) ?? this.buffer.toString("utf8", start, end);
  }

  /** Finds the single-valued fields; the last occurrence of each counts, as the specification says. */
  private index(): FieldOffsets {
    if (this.fields !== undefined) return this.fields;
    const fields = new FieldOffsets();
    if (!fields.readShort(this.buffer, this.body, this.end)) this.visitFields(fields);
    this.fields = fields;
    return fields;
  }

  /**
   * Shows every field to the visitor, in order.
   */
  visitFields(visitor: FieldVisitor): void {
    const { buffer, end } = this;
    let reader: WireReader | undefined;
    let at = this.body;
    while (at < end) {
      const tag = buffer[at]!;
      const length = at + 1 < end ? buffer[at + 1]! : 0x80;
      // Tag and length of one byte each are nearly all there is.
      if (tag < 0x80 && tag > 7 && (tag & 7) === WireType.bytes && length < 0x80) {
        const start = at + 2;
        const stop = start + length;
        if (stop > end) throw malformed(`a field of ${length} bytes exceeds its message`);
        visitor.field(tag, at, start, stop);
        at = stop;
        continue;
      }
      reader ??= new WireReader(buffer, at, end);
      reader.position = at;
      const whole = reader.tag();
      const isBytes = (whole & 7) === WireType.bytes;
      const stop = isBytes ? reader.lengthEnd() : undefined;
      const start = reader.position;
      if (stop === undefined) reader.skip(whole);
      else reader.position = stop;
      visitor.field(whole, at, start, reader.position);
      at = reader.position;
    }
  }
}

/** There is no such field. */
const ABSENT = -1;
/** Something that takes more than a glance. */
const UNUSUAL = -2;

/**
 * Where the length of the last field with this tag stands, when it is of one byte, and every field is one of bytes with a tag
 * of one byte and a length of one or two; else one of the above.
 */
function locateShort(buffer: Buffer, wanted: number, from: number, end: number): number {
  let found = ABSENT;
  let at = from;
  while (at + 1 < end) {
    const tag = buffer[at]!;
    const length = buffer[at + 1]!;
    if (tag > 0x7f || tag < 8 || (tag & 7) !== WireType.bytes) return UNUSUAL;
    if (length < 0x80) {
      if (tag === wanted) found = at + 1;
      at += 2 + length;
    } else {
      if (tag === wanted || at + 2 >= end || buffer[at + 2]! > 0x7f) return UNUSUAL;
      at += 3 + ((length & 0x7f) | (buffer[at + 2]! << 7));
    }
  }
  return at === end ? found : UNUSUAL;
}

/** Where the content of each single-valued field lies. */
class FieldOffsets implements FieldVisitor {
  idStart = 0;
  idEnd = 0;
  typeStart = 0;
  typeEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  sourceStart = 0;
  sourceEnd = 0;
  contentTypeStart = 0;
  contentTypeEnd = 0;

  /**
   * Reads the usual event at one go: fields of bytes with a tag of one byte and a length of one or two. False when there is
   * anything else, or anything wrong: what was found until then does not count.
   */
  readShort(buffer: Buffer, from: number, end: number): boolean {
    let at = from;
    while (at + 1 < end) {
      const tag = buffer[at]!;
      let length = buffer[at + 1]!;
      at += 2;
      if (length > 0x7f) {
        if (at >= end || buffer[at]! > 0x7f) return false;
        length = (length & 0x7f) | (buffer[at]! << 7);
        at++;
      }
      if (tag > 0x7f || tag < 8 || (tag & 7) !== WireType.bytes || at + length > end) return false;
      this.field(tag, at, at, at + length);
      at += length;
    }
    return at === end;
  }

  field(tag: number, _from: number, start: number, end: number): void {
    switch (tag) {
      case EventTag.id:
        this.idStart = start;
        this.idEnd = end;
        return;
      case EventTag.type:
        this.typeStart = start;
        this.typeEnd = end;
        return;
      case EventTag.payload:
        this.payloadStart = start;
        this.payloadEnd = end;
        return;
      case EventTag.sourceComponentId:
        this.sourceStart = start;
        this.sourceEnd = end;
        return;
      case EventTag.contentType:
        this.contentTypeStart = start;
        this.contentTypeEnd = end;
        return;
    }
  }
}

function readEntry(reader: WireReader): [key: string, value: string] {
  const inner = new WireReader(reader.buffer, 0, reader.lengthEnd());
  inner.position = reader.position;
  let key = "";
  let value = "";
  while (!inner.done) {
    const tag = inner.tag();
    if (tag !== 0x0a && tag !== 0x12) {
      inner.skip(tag);
      continue;
    }
    const end = inner.lengthEnd();
    const text = decoder.decode(inner.buffer.subarray(inner.position, end));
    if (tag === 0x0a) key = text;
    else value = text;
    inner.position = end;
  }
  reader.position = inner.end;
  return [key, value];
}
