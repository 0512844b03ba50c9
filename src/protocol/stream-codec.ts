import { shortened } from "./bounds.ts";
import { EVENT_IN_BATCH_TAG, EventView } from "./event-view.ts";
import type { SharedMemory } from "./slab-pool.ts";
import { malformed, varintSize, WireReader, writeVarint } from "./wire.ts";

/** The method by which one component subscribes to another, as gRPC calls it. */
export const SUBSCRIBE_PATH = "/flowctl.stream.v1.EventStream/Subscribe";

/** Totals since the stream was opened: what the server may send. */
export interface Credit {
  readonly maxSequence: number;
  readonly maxBytes: number;
}

const NO_CREDIT: Credit = { maxSequence: 0, maxBytes: 0 };

export interface Open {
  readonly pipeline: string;
  readonly group: string;
  readonly instanceId: string;
  readonly types: readonly string[];
  readonly credit: Credit;
  /** Instance that is meant; empty: whoever answers. */
  readonly upstreamInstance: string;
}

/** `flowctl.stream.v1.SubscribeRequest`. */
export type SubscribeRequest = (
  | { readonly kind: "open"; readonly open: Open }
  | { readonly kind: "ack"; readonly sequence: number }
  | { readonly kind: "nack"; readonly sequence: number; readonly reason: string }
  /** Nothing but credit, or something of a later version, or nothing at all. */
  | { readonly kind: "other" }
) & { readonly credit?: Credit };

/** `flowctl.stream.v1.SubscribeResponse`. */
export type SubscribeResponse =
  | { readonly kind: "opened"; readonly componentId: string; readonly instanceId: string }
  | {
      readonly kind: "batch";
      readonly firstSequence: number;
      /** Size of all events together, without tags and lengths. */
      readonly bytes: number;
    }
  /** `drained`: the edge has ended, not the data. */
  | { readonly kind: "end"; readonly lastSequence: number; readonly drained: boolean }
  | { readonly kind: "unknown" };

/** Told where the events of a batch lie. */
export interface EventPlaces {
  /** The next one lies from `start` to `end`; the event itself begins at `body`, after tag and length. */
  add(start: number, body: number, end: number): void;
}

const LENGTH_DELIMITED = { one: 0x0a, two: 0x12, three: 0x1a, four: 0x22, five: 0x2a, six: 0x32 } as const;
const VARINT = { one: 0x08, two: 0x10 } as const;

/**
 * A batch of events on its way out, as a `SubscribeResponse`. Nothing is encoded again: the events are copied as they are,
 * once, into the memory that the transport gives, when it gives it. Until then the events must not change. Events that lie
 * side by side in memory, as forwarded ones do, are one piece.
 */
export class OutgoingBatch {
  /** Sequence number of the first event on its stream. */
  readonly firstSequence: number;
  private readonly memory: SharedMemory | undefined;
  private pieces: Buffer[] = [];
  /** Where each piece begins and ends in its buffer. */
  private readonly bounds: number[] = [];
  private last: Buffer | undefined;
  private lastEnd = 0;
  private events = 0;
  private bytes = 0;

  /** @param memory in which the events lie: retained for each until the batch is written or dropped. */
  constructor(firstSequence: number, memory?: SharedMemory) {
    this.firstSequence = firstSequence;
    this.memory = memory;
  }

  /** How many events there are. */
  get count(): number {
    return this.events;
  }

  /** Size of all events with their tags and lengths. */
  get size(): number {
    return this.bytes;
  }

  /** Adds the events, one unless it says otherwise, that lie in the buffer from `start` to `end`, with tags and lengths. */
  add(buffer: Buffer, start: number, end: number, count = 1): void {
    this.events += count;
    this.bytes += end - start;
    if (buffer === this.last && start === this.lastEnd) this.bounds[this.bounds.length - 1] = end;
    else {
      this.pieces.push(buffer);
      this.bounds.push(start, end);
      this.memory?.retain(buffer);
      this.last = buffer;
    }
    this.lastEnd = end;
  }

  /** Size of the encoded message. */
  get byteLength(): number {
    const { inner } = this;
    return 1 + varintSize(inner) + inner;
  }

  /**
   * Writes the message to `target` from `offset` on, where there has to be room for all of it, and lets go of the events: it
   * can be done once. Returns its size.
   */
  copy(target: Buffer, offset = 0): number {
    const { pieces, bounds } = this;
    target[offset] = LENGTH_DELIMITED.two;
    let at = writeVarint(target, offset + 1, this.inner);
    target[at++] = VARINT.one;
    at = writeVarint(target, at, this.firstSequence);
    for (let i = 0; i < pieces.length; i++) {
      const start = bounds[2 * i]!;
      const end = bounds[2 * i + 1]!;
      pieces[i]!.copy(target, at, start, end);
      at += end - start;
    }
    this.drop();
    return at - offset;
  }

  toBuffer(): Buffer {
    const buffer = Buffer.allocUnsafe(this.byteLength);
    this.copy(buffer);
    return buffer;
  }

  /** Lets go of the events. The batch cannot be written any more. */
  drop(): void {
    for (const piece of this.pieces) this.memory?.release(piece);
    this.pieces = [];
    this.last = undefined;
  }

  private get inner(): number {
    return 1 + varintSize(this.firstSequence) + this.bytes;
  }
}

export function encodeOpened(componentId: string, instanceId: string): Buffer {
  return message(LENGTH_DELIMITED.one, [
    text(LENGTH_DELIMITED.one, componentId),
    text(LENGTH_DELIMITED.two, instanceId),
  ]);
}

export function encodeEnd(lastSequence: number, drained = false): Buffer {
  return message(LENGTH_DELIMITED.three, [
    number(VARINT.one, lastSequence),
    ...(drained ? [number(VARINT.two, 1)] : []),
  ]);
}

export function encodeRequest(request: SubscribeRequest): Buffer {
  const { credit } = request;
  const said = encodeSaid(request);
  return credit === undefined ? said : Buffer.concat([said, message(LENGTH_DELIMITED.four, creditFields(credit))]);
}

function encodeSaid(request: SubscribeRequest): Buffer {
  switch (request.kind) {
    case "open": {
      const { pipeline, group, instanceId, types, credit, upstreamInstance } = request.open;
      return message(LENGTH_DELIMITED.one, [
        text(LENGTH_DELIMITED.one, pipeline),
        text(LENGTH_DELIMITED.two, group),
        text(LENGTH_DELIMITED.three, instanceId),
        ...types.map((type) => text(LENGTH_DELIMITED.four, type)),
        message(LENGTH_DELIMITED.five, creditFields(credit)),
        text(LENGTH_DELIMITED.six, upstreamInstance),
      ]);
    }
    case "ack":
      return message(LENGTH_DELIMITED.two, [number(VARINT.one, request.sequence)]);
    case "nack":
      return message(LENGTH_DELIMITED.three, [
        number(VARINT.one, request.sequence),
        text(LENGTH_DELIMITED.two, shortened(request.reason)),
      ]);
    case "other":
      return Buffer.alloc(0);
  }
}

/**
 * Throws `protocol/malformed`. When a request holds several of the alternatives the last one counts; credit is no
 * alternative, and may come with any of them.
 */
export function decodeRequest(buffer: Buffer): SubscribeRequest {
  const reader = new WireReader(buffer);
  let request: SubscribeRequest = { kind: "other" };
  let credit: Credit | undefined;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LENGTH_DELIMITED.one) request = { kind: "open", open: decodeOpen(section(reader)) };
    else if (tag === LENGTH_DELIMITED.two) request = decodeAnswer(section(reader), true);
    else if (tag === LENGTH_DELIMITED.three) request = decodeAnswer(section(reader), false);
    else if (tag === LENGTH_DELIMITED.four) credit = decodeCredit(section(reader), credit);
    else reader.skip(tag);
  }
  return credit === undefined ? request : { ...request, credit };
}

/**
 * Reads a response, and tells where the events of a batch lie in it: they are not decoded. Throws `protocol/malformed`;
 * what was told until then does not count.
 */
export function decodeResponse(buffer: Buffer, places: EventPlaces): SubscribeResponse {
  const reader = new WireReader(buffer);
  let response: SubscribeResponse = { kind: "unknown" };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LENGTH_DELIMITED.two) response = decodeBatch(section(reader), buffer, places);
    else if (tag === LENGTH_DELIMITED.one) response = decodeOpened(section(reader));
    else if (tag === LENGTH_DELIMITED.three) response = decodeEnd(section(reader));
    else reader.skip(tag);
  }
  return response;
}

function decodeEnd(reader: WireReader): SubscribeResponse {
  let lastSequence = 0;
  let drained = false;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === VARINT.one) lastSequence = reader.safeInteger();
    else if (tag === VARINT.two) drained = reader.safeInteger() !== 0;
    else reader.skip(tag);
  }
  return { kind: "end", lastSequence, drained };
}

/** The events of a batch that `OutgoingBatch` has written, as views of it. Throws `protocol/malformed`. */
export function eventsOf(batch: Buffer): EventView<undefined>[] {
  const events: EventView<undefined>[] = [];
  decodeResponse(batch, {
    add: (start, body, end) => void events.push(new EventView(batch, start, body, end, undefined, 0)),
  });
  return events;
}

function decodeBatch(reader: WireReader, buffer: Buffer, places: EventPlaces): SubscribeResponse {
  const { end } = reader;
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
      if (stop > end) throw malformed(`an event of ${stop - body} bytes exceeds its batch`);
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
    places.add(start, body, stop);
    bytes += stop - body;
    at = stop;
  }
  return { kind: "batch", firstSequence, bytes };
}

function decodeOpen(reader: WireReader): Open {
  const types: string[] = [];
  let pipeline = "";
  let group = "";
  let instanceId = "";
  let credit = NO_CREDIT;
  let upstreamInstance = "";
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LENGTH_DELIMITED.one) pipeline = string(reader);
    else if (tag === LENGTH_DELIMITED.two) group = string(reader);
    else if (tag === LENGTH_DELIMITED.three) instanceId = string(reader);
    else if (tag === LENGTH_DELIMITED.four) types.push(string(reader));
    else if (tag === LENGTH_DELIMITED.five) credit = decodeCredit(section(reader));
    else if (tag === LENGTH_DELIMITED.six) upstreamInstance = string(reader);
    else reader.skip(tag);
  }
  return { pipeline, group, instanceId, types, credit, upstreamInstance };
}

/** What it does not say stays as in `before`. */
function decodeCredit(reader: WireReader, before: Credit = NO_CREDIT): Credit {
  let { maxSequence, maxBytes } = before;
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

function decodeOpened(reader: WireReader): SubscribeResponse {
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
  if (!Number.isSafeInteger(value) || value < 0) throw malformed(`invalid sequence number or size ${value}`);
  const buffer = Buffer.allocUnsafe(1 + varintSize(value));
  buffer[0] = tag;
  writeVarint(buffer, 1, value);
  return buffer;
}
