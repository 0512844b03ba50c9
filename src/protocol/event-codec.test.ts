import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { encodeBatch, viewOfEvent } from "./encoded-events.fake.ts";
import { EventEncoder, type EventFields } from "./event-encoder.ts";
import type { EventView } from "./event-view.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeEnd,
  encodeOpened,
  encodeRequest,
  eventsOf,
  type SubscribeRequest,
} from "./stream-codec.ts";
import { WireReader } from "./wire.ts";

const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith("google/") ? target : `proto/${target}`);
root.loadSync("flowctl/stream/v1/stream.proto");
const EventType = root.lookupType("flowctl.event.v1.Event");
const Response = root.lookupType("flowctl.stream.v1.SubscribeResponse");
const Request = root.lookupType("flowctl.stream.v1.SubscribeRequest");
const text = fc.string({ unit: "grapheme", maxLength: 90 });
const time = fc.option(fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }), { nil: undefined });

/** Around the sizes where a length takes one byte more, in characters of one to four bytes. */
const longText = fc
  .tuple(fc.constantFrom("x", "é", "€", "😀", "xé", "xxxxxxxx€"), fc.constantFrom(40, 60, 120, 128, 4090, 5500, 16_400))
  .map(([unit, length]) => unit.repeat(Math.ceil(length / unit.length)));

const fields: fc.Arbitrary<EventFields> = fc.record({
  id: text,
  idNumber: fc.option(fc.oneof(fc.nat(1100), fc.maxSafeNat()), { nil: undefined }),
  type: text,
  payload: fc.oneof(text, longText, fc.uint8Array({ maxLength: 300 })),
  metadata: fc.option(fc.dictionary(text, text, { maxKeys: 4 }), { nil: undefined }),
  timestamp: time,
  sourceComponentId: text,
  contentType: text,
});

interface Plain {
  id: string;
  type: string;
  payload: Uint8Array;
  metadata: Record<string, string>;
  timestamp: { seconds: { toNumber(): number } | number; nanos: number } | null;
  sourceComponentId: string;
  contentType: string;
}

function reference(event: EventView): Plain {
  return EventType.decode(event.buffer.subarray(event.body, event.end)) as unknown as Plain;
}

function millis(plain: Plain): number | undefined {
  if (plain.timestamp === null) return undefined;
  const { seconds, nanos } = plain.timestamp;
  return (typeof seconds === "number" ? seconds : seconds.toNumber()) * 1000 + Math.floor(nanos / 1e6);
}

function same(view: EventView, plain: Plain): void {
  expect(view.id).toBe(plain.id);
  expect(view.type).toBe(plain.type);
  expect(Buffer.compare(view.payload, Buffer.from(plain.payload))).toBe(0);
  expect(Object.entries(view.metadata).sort()).toEqual(Object.entries(plain.metadata).sort());
  expect(view.timestamp?.getTime()).toBe(millis(plain));
  expect(view.sourceComponentId).toBe(plain.sourceComponentId);
  expect(view.contentType).toBe(plain.contentType);
}

describe("the event codec", () => {
  it("encodes what protobufjs decodes to the same fields", () => {
    const encoder = new EventEncoder();
    fc.assert(
      fc.property(fields, (event) => {
        const view = encoder.encode(event);
        same(view, reference(view));
        expect(view.id).toBe(idOf(event));
        expect(view.timestamp?.getTime()).toBe(event.timestamp);
        expect(view.text()).toBe(Buffer.from(event.payload as string).toString("utf8"));
      }),
      { numRuns: 500 },
    );
  });

  it("leaves alone what it encoded before", () => {
    const encoder = new EventEncoder();
    fc.assert(
      fc.property(fc.array(fields, { maxLength: 40 }), (events) => {
        const views = events.map((event) => encoder.encode(event));
        const bytes = views.map((view) => Buffer.from(view.buffer.subarray(view.start, view.end)));
        for (const event of events) encoder.derive(encoder.encode(event), { idSuffix: "!", sourceComponentId: "s" });
        views.forEach((view, i) => {
          expect(view.buffer.subarray(view.start, view.end).equals(bytes[i]!)).toBe(true);
          expect(view.id).toBe(idOf(events[i]!));
        });
      }),
    );
  });

  it("writes fields in the order of their numbers, as protobufjs does, byte for byte", () => {
    const encoder = new EventEncoder();
    fc.assert(
      fc.property(fields, (event) => {
        // Left out what the two may write in different ways: the order of a map, and empty keys and values in it.
        const plain = { ...event, metadata: undefined };
        const view = encoder.encode(plain);
        const wire = EventType.encode(toProto({ ...plain, id: idOf(plain) })).finish();
        expect(canonical(view.buffer.subarray(view.body, view.end))).toBe(canonical(wire));
      }),
    );
  });

  it("decodes what protobufjs encodes, with unknown fields and repeated fields in between", () => {
    const chunk = fc.oneof(
      fields.map((event) => Buffer.from(EventType.encode(toProto(event)).finish())),
      fc.constantFrom(
        Buffer.from([0x98, 0x06, 0x05]),
        Buffer.from([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]),
        Buffer.from([0xa5, 0x06, 1, 2, 3, 4]),
      ),
      fc.constant(Buffer.from([0xab, 0x06, 0x08, 0x01, 0xac, 0x06])),
    );
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 4 }), (chunks) => {
        const bytes = Buffer.concat(chunks);
        same(viewOfEvent(bytes), EventType.decode(bytes) as unknown as Plain);
      }),
    );
  });

  it("on damaged bytes either agrees with protobufjs or says that they are malformed, and reads nothing outside them", () => {
    const encoder = new EventEncoder();
    let agreed = 0;
    let refused = 0;
    fc.assert(
      fc.property(fields, fc.nat(), fc.nat(255), fc.nat(), (event, at, value, cut) => {
        const view = encoder.encode(event);
        const bytes = Buffer.from(view.buffer.subarray(view.body, view.end));
        if (bytes.length === 0) return;
        bytes[at % bytes.length] = value;
        const damaged = cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
        let plain: Plain | undefined;
        try {
          plain = EventType.decode(damaged) as unknown as Plain;
        } catch {
          plain = undefined;
        }
        try {
          const seen = viewOfEvent(damaged);
          const read = { id: seen.id, metadata: seen.metadata, time: seen.timestamp };
          if (plain !== undefined && read.id === plain.id) agreed++;
        } catch (error) {
          expect(error).toMatchObject({ code: "protocol/malformed" });
          refused++;
        }
      }),
      { numRuns: 2000 },
    );
    expect(agreed).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
  });

  it("derives events: what is changed is new, everything else is as it was, unknown fields too", () => {
    const encoder = new EventEncoder();
    const changes = fc.record(
      {
        type: text,
        payload: fc.oneof(text, fc.uint8Array({ maxLength: 50 })),
        metadata: fc.dictionary(text, text, { maxKeys: 2 }),
        timestamp: fc.nat(),
        contentType: text,
      },
      { requiredKeys: [] },
    );
    const unknown = Buffer.from([0x98, 0x06, 0x05]);
    fc.assert(
      fc.property(
        fields,
        changes,
        fc.option(text, { nil: undefined }),
        text,
        text,
        (event, change, id, idSuffix, source) => {
          const original = encoder.encode(event);
          const from = viewOfEvent(Buffer.concat([original.buffer.subarray(original.body, original.end), unknown]));
          const derived = encoder.derive(from, { ...change, id, idSuffix, sourceComponentId: source });
          same(derived, reference(derived));
          const expected = { ...event, metadata: event.metadata ?? {}, ...change };
          expect(derived.id).toBe(id ?? idOf(event) + idSuffix);
          expect(derived.sourceComponentId).toBe(source);
          expect(derived.type).toBe(expected.type);
          expect(derived.metadata).toEqual(expected.metadata);
          expect(derived.timestamp?.getTime()).toBe(expected.timestamp);
          expect(derived.contentType).toBe(expected.contentType);
          expect(Buffer.from(derived.payload).equals(Buffer.from(expected.payload as string))).toBe(true);
          expect(derived.buffer.subarray(derived.body, derived.end).includes(unknown)).toBe(true);
        },
      ),
    );
  });

  it("adds metadata behind the event's own bytes, which stay as they were", () => {
    const encoder = new EventEncoder();
    fc.assert(
      fc.property(fields, fc.dictionary(text, text, { minKeys: 1, maxKeys: 3 }), (event, more) => {
        const view = encoder.encode(event);
        const extended = encoder.withMetadata(view, more);
        const original = view.buffer.subarray(view.body, view.end);
        expect(extended.buffer.subarray(extended.body, extended.body + view.size).equals(original)).toBe(true);
        expect(extended.metadata).toEqual({ ...view.metadata, ...more });
        expect(extended.id).toBe(view.id);
      }),
    );
  });
});

const NOWHERE = { add: () => undefined };

describe("the stream codec", () => {
  it("writes batches that protobufjs reads, and reads them back in place", () => {
    const encoder = new EventEncoder();
    fc.assert(
      fc.property(
        fc.array(fields, { maxLength: 20 }),
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (events, first) => {
          const views = events.map((event) => encoder.encode(event));
          const wire = encodeBatch(first, views);
          const plain = Response.toObject(Response.decode(wire), { longs: String }) as {
            batch: { firstSequence: string; events?: unknown[] };
          };
          expect(plain.batch.firstSequence).toBe(String(first));
          expect(plain.batch.events?.length ?? 0).toBe(events.length);
          const bytes = views.reduce((sum, event) => sum + event.size, 0);
          expect(decodeResponse(wire, NOWHERE)).toEqual({ kind: "batch", firstSequence: first, bytes });
          expect(eventsOf(wire).map((event) => event.id)).toEqual(events.map(idOf));
        },
      ),
    );
  });

  it("forwards received events byte for byte", () => {
    const encoder = new EventEncoder();
    const views = Array.from({ length: 50 }, (_, i) =>
      encoder.encode({
        id: `n-${i}`,
        type: "t",
        payload: `p${i}`,
        metadata: undefined,
        timestamp: 1,
        sourceComponentId: "s",
        contentType: "",
      }),
    );
    const even = eventsOf(encodeBatch(1, views)).filter((_, i) => i % 3 !== 0);
    const forwarded = eventsOf(encodeBatch(9, even));
    expect(forwarded.map((e) => e.buffer.subarray(e.start, e.end).toString("hex"))).toEqual(
      even.map((e) => e.buffer.subarray(e.start, e.end).toString("hex")),
    );
  });

  it("reads every request that it and protobufjs write", () => {
    const safe = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const credit = fc.record({ maxSequence: safe, maxBytes: safe });
    const said = fc.oneof(
      fc.record({
        kind: fc.constant("open" as const),
        open: fc.record({
          pipeline: text,
          group: text,
          instanceId: text,
          types: fc.array(text, { maxLength: 3 }),
          credit,
          upstreamInstance: text,
        }),
      }),
      fc.record({ kind: fc.constant("ack" as const), sequence: safe }),
      fc.record({ kind: fc.constant("nack" as const), sequence: safe, reason: text }),
      fc.record({ kind: fc.constant("other" as const) }),
    );
    const request: fc.Arbitrary<SubscribeRequest> = fc
      .tuple(said, fc.option(credit, { nil: undefined }))
      .map(([what, more]) => (more === undefined ? what : { ...what, credit: more }));
    fc.assert(
      fc.property(request, (value) => {
        const wire = encodeRequest(value);
        expect(decodeRequest(wire)).toEqual(value);
        const again = Request.encode(Request.decode(wire)).finish();
        expect(decodeRequest(Buffer.from(again))).toEqual(value);
      }),
    );
  });

  it("takes any bytes without doing worse than saying that they are malformed", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const decode of [
          () => decodeRequest(Buffer.from(bytes)),
          () => decodeResponse(Buffer.from(bytes), NOWHERE),
        ]) {
          try {
            decode();
          } catch (error) {
            expect(error).toMatchObject({ code: "protocol/malformed" });
          }
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("writes what each response says", () => {
    expect(decodeResponse(encodeOpened("c", "c-1"), NOWHERE)).toEqual({
      kind: "opened",
      componentId: "c",
      instanceId: "c-1",
    });
    expect(decodeResponse(encodeEnd(7), NOWHERE)).toEqual({ kind: "end", lastSequence: 7, drained: false });
    expect(decodeResponse(encodeEnd(7, true), NOWHERE)).toEqual({ kind: "end", lastSequence: 7, drained: true });
  });

  it("ends cleanly at every cut of a message", () => {
    const encoder = new EventEncoder();
    const event = encoder.encode({
      id: "a",
      type: "b",
      payload: "c",
      metadata: { d: "e" },
      timestamp: 5,
      sourceComponentId: "f",
      contentType: "g",
    });
    const wire = encodeBatch(3, [event]);
    for (let cut = 1; cut < wire.length; cut++) {
      expect(() => decodeResponse(wire.subarray(0, cut), NOWHERE)).toThrowError(
        expect.objectContaining({ code: "protocol/malformed" }),
      );
    }
    expect(new WireReader(wire).done).toBe(false);
  });
});

function idOf(event: EventFields): string {
  return event.id + (event.idNumber ?? "");
}

/** Its timestamp apart, whose zero nanoseconds protobufjs writes and proto3 leaves out. */
function canonical(bytes: Uint8Array): string {
  const event = EventType.decode(bytes) as unknown as Plain;
  return Buffer.from(EventType.encode(EventType.fromObject(event)).finish()).toString("hex");
}

function toProto(event: EventFields): protobuf.Message {
  return EventType.fromObject({
    ...event,
    payload: typeof event.payload === "string" ? Buffer.from(event.payload) : event.payload,
    timestamp:
      event.timestamp === undefined
        ? undefined
        : {
            seconds: Math.floor(event.timestamp / 1000),
            nanos: (event.timestamp - Math.floor(event.timestamp / 1000) * 1000) * 1e6,
          },
  });
}
