import { EVENT_IN_BATCH_TAG, type EventView, type ViewFactory } from "./event-view.ts";
import { malformed, varintSize, WireReader, writeVarint } from "./wire.ts";

/** Totals since the stream was opened: what the server may send. */
export interface Credit {
  readonly maxSequence: number;
  readonly maxBytes: number;
}

export interface Open {
  readonly pipeline: string;
  readonly group: string;
  readonly instanceId: string;
  readonly types: readonly string[];
  readonly credit: Credit;
}

/** `flowctl.stream.v1.SubscribeRequest`. */
export type SubscribeRequest =
  | { readonly kind: "open"; readonly open: Open }
  | { readonly kind: "ack"; readonly sequence: number }
  | { readonly kind: "nack"; readonly sequence: number; readonly reason: string }
  | { readonly kind: "credit"; readonly credit: Credit }
  /** A request of a later version, or an empty one. */
  | { readonly kind: "unknown" };

/** `flowctl.stream.v1.SubscribeResponse`. */
export type SubscribeResponse<View extends EventView> =
  | { readonly kind: "opened"; readonly componentId: string; readonly instanceId: string }
  | {
      readonly kind: "batch";
      readonly firstSequence: number;
      readonly events: readonly View[];
      /** Size of all events together, without tags and lengths. */
      readonly bytes: number;
    }
  | { readonly kind: "end"; readonly lastSequence: number }
  | { readonly kind: "unknown" };

const LENGTH_DELIMITED = { one: 0x0a, two: 0x12, three: 0x1a, four: 0x22, five: 0x2a } as const;
const VARINT = { one: 0x08, two: 0x10 } as const;

/**
 * A batch of events on its way out, as a `SubscribeResponse`. Nothing is encoded again: the events are copied as they are,
 * once, into the memory that the transport gives, when it gives it. Until then the events must not change.
 */
export class OutgoingBatch {
  /** Sequence number of the first event on its stream. */
  readonly firstSequence: number;
  readonly events: readonly EventView[];
  /** Size of the encoded message. */
  readonly byteLength: number;
  private readonly inner: number;

  /** @param bytes Size of all events with their tags and lengths. */
  constructor(firstSequence: number, events: readonly EventView[], bytes: number) {
    this.firstSequence = firstSequence;
    this.events = events;
    this.inner = 1 + varintSize(firstSequence) + bytes;
    this.byteLength = 1 + varintSize(this.inner) + this.inner;
  }

  /** Writes the message to `target` from `offset` on, where there has to be room for all of it. Returns its size. */
  copy(target: Buffer, offset = 0): number {
    const { events } = this;
    const count = events.length;
    target[offset] = LENGTH_DELIMITED.two;
    let at = writeVarint(target, offset + 1, this.inner);
    target[at++] = VARINT.one;
    at = writeVarint(target, at, this.firstSequence);
    for (let i = 0; i < count; ) {
      // Events that lie side by side in memory, as forwarded ones do, are copied in one go.
      const first = events[i]!;
      let end = first.end;
      i++;
      while (i < count && events[i]!.buffer === first.buffer && events[i]!.start === end) end = events[i++]!.end;
      first.buffer.copy(target, at, first.start, end);
      at += end - first.start;
    }
    return at - offset;
  }

  toBuffer(): Buffer {
    const buffer = Buffer.allocUnsafe(this.byteLength);
    this.copy(buffer);
    return buffer;
  }
}

/** The first `count` events as one message; `bytes` is their size with tags and lengths. */
export function encodeBatch(firstSequence: number, events: readonly EventView[], count: number, bytes: number): Buffer {
  return new OutgoingBatch(firstSequence, events.slice(0, count), bytes).toBuffer();
}

export function encodeOpened(componentId: string, instanceId: string): Buffer {
  return message(LENGTH_DELIMITED.one, [
    text(LENGTH_DELIMITED.one, componentId),
    text(LENGTH_DELIMITED.two, instanceId),
  ]);
}

export function encodeEnd(lastSequence: number): Buffer {
  return message(LENGTH_DELIMITED.three, [number(VARINT.one, lastSequence)]);
}

export function encodeRequest(request: Exclude<SubscribeRequest, { kind: "unknown" }>): Buffer {
  switch (request.kind) {
    case "open": {
      const { pipeline, group, instanceId, types, credit } = request.open;
      return message(LENGTH_DELIMITED.one, [
        text(LENGTH_DELIMITED.one, pipeline),
        text(LENGTH_DELIMITED.two, group),
        text(LENGTH_DELIMITED.three, instanceId),
        ...types.map((type) => text(LENGTH_DELIMITED.four, type)),
        message(LENGTH_DELIMITED.five, creditFields(credit)),
      ]);
    }
    case "ack":
      return message(LENGTH_DELIMITED.two, [number(VARINT.one, request.sequence)]);
    case "nack":
      return message(LENGTH_DELIMITED.three, [
        number(VARINT.one, request.sequence),
        text(LENGTH_DELIMITED.two, request.reason),
      ]);
    case "credit":
      return message(LENGTH_DELIMITED.four, creditFields(request.credit));
  }
}

/** Throws `protocol/malformed`. When a request holds several of the alternatives the last one counts. */
export function decodeRequest(buffer: Buffer): SubscribeRequest {
  const reader = new WireReader(buffer);
  let request: SubscribeRequest = { kind: "unknown" };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== 0x0a && tag !== 0x12 && tag !== 0x1a && tag !== 0x22) {
      reader.skip(tag);
      continue;
    }
    const inner = section(reader);
    if (tag === LENGTH_DELIMITED.one) request = { kind: "open", open: decodeOpen(inner) };
    else if (tag === LENGTH_DELIMITED.four) request = { kind: "credit", credit: decodeCredit(inner) };
    else request = decodeAnswer(inner, tag === LENGTH_DELIMITED.two);
  }
  return request;
}

/** Reads a response in place: the views of a batch share its memory. Throws `protocol/malformed`. */
export function decodeResponse<View extends EventView>(
  buffer: Buffer,
  view: ViewFactory<View>,
): SubscribeResponse<View> {
  const reader = new WireReader(buffer);
  let response: SubscribeResponse<View> = { kind: "unknown" };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LENGTH_DELIMITED.two) response = decodeBatch(section(reader), buffer, view);
    else if (tag === LENGTH_DELIMITED.one) response = decodeOpened(section(reader));
    else if (tag === LENGTH_DELIMITED.three) response = { kind: "end", lastSequence: decodeNumber(section(reader)) };
    else reader.skip(tag);
  }
  return response;
}

function decodeBatch<View extends EventView>(
  reader: WireReader,
  buffer: Buffer,
  view: ViewFactory<View>,
): SubscribeResponse<View> {
  const { end } = reader;
  const events: View[] = [];
  let firstSequence = 0;
  let bytes = 0;
  let at = reader.position;
  while (at < end) {
    const start = at;
    let body = 0;
    let stop = 0;
    if (buffer[at] === EVENT_IN_BATCH_TAG && at + 2 < end && (buffer[at + 1]! < 0x80 || buffer[at + 2]! < 0x80)) {
      // A length of one or two bytes is nearly all there is.
      const low = buffer[at + 1]!;
      body = low < 0x80 ? at + 2 : at + 3;
      stop = body + (low < 0x80 ? low : (low & 0x7f) | (buffer[at + 2]! << 7));
      if (stop > end) throw malformed(`an event of ${stop - body} bytes does not fit its batch`);
    } else {
      reader.position = at;
      const tag = reader.tag();
      if (tag !== EVENT_IN_BATCH_TAG) {
        if (tag === VARINT.one) firstSequence = reader.safeInteger();
        else reader.skip(tag);
        at = reader.position;
        continue;
      }
      stop = reader.lengthEnd();
      body = reader.position;
    }
    events.push(view(buffer, start, body, stop));
    bytes += stop - body;
    at = stop;
  }
  return { kind: "batch", firstSequence, events, bytes };
}

function decodeOpen(reader: WireReader): Open {
  const types: string[] = [];
  let pipeline = "";
  let group = "";
  let instanceId = "";
  let credit: Credit = { maxSequence: 0, maxBytes: 0 };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LENGTH_DELIMITED.one) pipeline = string(reader);
    else if (tag === LENGTH_DELIMITED.two) group = string(reader);
    else if (tag === LENGTH_DELIMITED.three) instanceId = string(reader);
    else if (tag === LENGTH_DELIMITED.four) types.push(string(reader));
    else if (tag === LENGTH_DELIMITED.five) credit = decodeCredit(section(reader));
    else reader.skip(tag);
  }
  return { pipeline, group, instanceId, types, credit };
}

function decodeCredit(reader: WireReader): Credit {
  let maxSequence = 0;
  let maxBytes = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === VARINT.one) maxSequence = reader.safeInteger();
    else if (tag === VARINT.two) maxBytes = reader.safeInteger();
    else reader.skip(tag);
  }
  return { maxSequence, maxBytes };
}

function decodeAnswer(reader: WireReader, isAck: boolean): SubscribeRequest {
  let sequence = 0;
  let reason = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === VARINT.one) sequence = reader.safeInteger();
    else if (tag === LENGTH_DELIMITED.two && !isAck) reason = string(reader);
    else reader.skip(tag);
  }
  return isAck ? { kind: "ack", sequence } : { kind: "nack", sequence, reason };
}

function decodeOpened<View extends EventView>(reader: WireReader): SubscribeResponse<View> {
  let componentId = "";
  let instanceId = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LENGTH_DELIMITED.one) componentId = string(reader);
    else if (tag === LENGTH_DELIMITED.two) instanceId = string(reader);
    else reader.skip(tag);
  }
  return { kind: "opened", componentId, instanceId };
}

function decodeNumber(reader: WireReader): number {
  let value = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === VARINT.one) value = reader.safeInteger();
    else reader.skip(tag);
  }
  return value;
}

function section(reader: WireReader): WireReader {
  const end = reader.lengthEnd();
  const inner = new WireReader(reader.buffer, reader.position, end);
  reader.position = end;
  return inner;
}

function string(reader: WireReader): string {
  const end = reader.lengthEnd();
  const value = Buffer.from(
    reader.buffer.buffer,
    reader.buffer.byteOffset + reader.position,
    end - reader.position,
  ).toString("utf8");
  reader.position = end;
  return value;
}

function creditFields(credit: Credit): Buffer[] {
  return [number(VARINT.one, credit.maxSequence), number(VARINT.two, credit.maxBytes)];
}

function message(tag: number, fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat(fields);
  const buffer = Buffer.allocUnsafe(1 + varintSize(body.length) + body.length);
  buffer[0] = tag;
  buffer.set(body, writeVarint(buffer, 1, body.length));
  return buffer;
}

function text(tag: number, value: string): Buffer {
  if (value === "" && tag !== LENGTH_DELIMITED.four) return Buffer.alloc(0);
  return message(tag, [Buffer.from(value, "utf8")]);
}

function number(tag: number, value: number): Buffer {
  if (value === 0) return Buffer.alloc(0);
  if (!Number.isSafeInteger(value) || value < 0) throw malformed(`${value} is no sequence number or size`);
  const buffer = Buffer.allocUnsafe(1 + varintSize(value));
  buffer[0] = tag;
  writeVarint(buffer, 1, value);
  return buffer;
}
