import { encodeEnd, encodeOpened } from "../../../src/protocol/stream-codec.ts";
import { varintSize, writeVarint } from "../../../src/protocol/wire.ts";
import type { Random } from "../../chaos/harness/random.ts";
import { hostileNumber, hostileText } from "./values.ts";
import { mutated } from "./wire.ts";

/** What a hostile upstream says next: the stream goes on after it, or, as it is wrong, does not. */
export interface Said {
  readonly message: Buffer;
  readonly events: number;
  readonly breaks: boolean;
}

/** One event, damaged or odd, in a batch that is right. */
export function hostileBatch(firstSequence: number, random: Random): Said {
  const event = random.chance(0.6) ? mutated(eventOf(random), random) : eventOf(random);
  return { message: batch(firstSequence, [event]), events: 1, breaks: false };
}

/** What no receiver takes. */
export function violation(componentId: string, instanceId: string, expected: number, random: Random): Said {
  const events = [eventOf(random)];
  const messages = {
    gap: () => batch(expected + 1 + random.below(10), events),
    backwards: () => batch(Math.max(0, expected - 1 - random.below(10)), events),
    giant: () => batch(hostileNumber(random), events),
    credit: () => batch(expected, Array(50_000).fill(Buffer.from([0x0a, 0x01, 0x78]))),
    "damaged batch": () => mutated(batch(expected, events), random),
    "opened again": () => mutated(encodeOpened(componentId, instanceId), random),
    "another one": () => encodeOpened(hostileText(random), hostileText(random)),
    // The end is the right of whoever speaks for the instance: damaged, with something owed.
    end: () => Buffer.concat([batch(expected + 5, events), encodeEnd(hostileNumber(random))]),
    noise: () => Buffer.from(Array.from({ length: random.below(60) }, () => random.below(256))),
  };
  return { message: random.pick(Object.values(messages))(), events: 0, breaks: true };
}

function eventOf(random: Random): Buffer {
  const metadata = Buffer.concat([field(0x0a, text(random)), field(0x12, text(random))]);
  const timestamp = Buffer.concat([varintField(0x08, hostileNumber(random)), varintField(0x10, hostileNumber(random))]);
  const fields = [
    field(0x0a, text(random)),
    field(0x12, text(random)),
    field(0x1a, text(random)),
    field(0x22, metadata),
    field(0x2a, timestamp),
    field(0x32, text(random)),
    field(0x3a, Buffer.from(random.pick(["application/json", "", "x"]))),
  ];
  return Buffer.concat(fields.filter(() => random.chance(0.8)));
}

function text(random: Random): Buffer {
  return Buffer.from(hostileText(random).slice(0, 2_000));
}

/** A flowctl.stream.v1.SubscribeResponse with a batch. */
function batch(firstSequence: number, events: readonly Buffer[]): Buffer {
  return field(0x12, Buffer.concat([varintField(0x08, firstSequence), ...events.map((event) => field(0x12, event))]));
}

function varintField(tag: number, value: number): Buffer {
  const bytes = Buffer.alloc(1 + varintSize(value));
  bytes[0] = tag;
  writeVarint(bytes, 1, value);
  return bytes;
}

function field(tag: number, content: Buffer): Buffer {
  const head = Buffer.alloc(1 + varintSize(content.length));
  head[0] = tag;
  writeVarint(head, 1, content.length);
  return Buffer.concat([head, content]);
}
