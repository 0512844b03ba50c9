import { afterEach, describe, expect, it } from "vitest";
import type { FlowctlError } from "../../foundation/errors.ts";
import { encodeBatch } from "../../protocol/encoded-events.fake.ts";
import { EventEncoder } from "../../protocol/event-encoder.ts";
import { encodeEnd, encodeOpened } from "../../protocol/stream-codec.ts";
import { hold, publishFrom, type ReceivedEvent, settle } from "./received-event.ts";
import { ScriptedUpstream } from "./scripted-upstream.fake.ts";
import { dial, UpstreamStream } from "./upstream-stream.ts";

const WINDOW = { maxEvents: 100, maxBytes: 100_000 };
const who = { pipeline: "p", componentId: "down", instanceId: "down-1" };
const UP = { componentId: "up", instanceId: "up-1" };
const encoder = new EventEncoder();
const violations: string[] = [];
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  expect(violations.splice(0)).toEqual([]);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function setUp() {
  const upstream = new ScriptedUpstream("up", "up-1", violations);
  upstream.window = { maxSequence: WINDOW.maxEvents, maxBytes: WINDOW.maxBytes };
  await upstream.listen();
  cleanUps.push(() => upstream.close());
  const open = async () => {
    const client = dial(upstream.address, { role: "component", pipeline: "p", component: "up", instance: "up-1" });
    const events: ReceivedEvent[] = [];
    const ends: (FlowctlError | undefined)[] = [];
    const said: string[] = [];
    let seen: typeof upstream.stream;
    // A stream may be over before anybody looks for it.
    upstream.onOpened = (opened) => {
      seen = opened;
    };
    const stream: UpstreamStream = new UpstreamStream(client, upstream.address, UP, who, WINDOW, {
      opened: () => undefined,
      events: (arrival) => void events.push(...stream.views(arrival)),
      ended: () => void said.push("ended"),
      closed: (error) => void ends.push(error),
    });
    cleanUps.push(() => {
      stream.abort();
      client.close();
    });
    await until(() => seen !== undefined);
    return { stream, events, ends, said, seen: seen! };
  };
  return { upstream, open };
}

describe("a stream from an upstream instance", () => {
  it("says nothing after its goodbye, whatever becomes done then, and ends when the other side has confirmed", async () => {
    const { upstream, open } = await setUp();
    const { stream, events, ends, seen } = await open();
    upstream.produce(3, 0);
    upstream.send(3);
    await until(() => events.length === 3);
    // What becomes done in the same turn as the goodbye, and what becomes done later.
    settle(events[0]!);
    stream.close();
    settle(events[1]!);
    await new Promise((resolve) => setImmediate(resolve));
    settle(events[2]!);
    await until(() => ends.length > 0);
    expect(ends).toEqual([undefined]);
    expect(seen.acked).toBe(1);
  });

  it("takes nothing for received that came in a message which says something else in the end", async () => {
    const { open } = await setUp();
    const { stream, events, ends, seen } = await open();
    const views = [1, 2, 3].map((n) =>
      encoder.encode({
        id: `n-${n}`,
        type: "t",
        payload: "",
        metadata: undefined,
        timestamp: undefined,
        sourceComponentId: "up",
        contentType: "",
      }),
    );
    seen.call.write(Buffer.concat([encodeBatch(1, views.slice(0, 2)), encodeOpened("up", "up-1")]));
    seen.call.write(encodeBatch(1, views));
    await until(() => events.length > 0 || ends.length > 0);
    expect(ends).toEqual([]);
    expect(events.map(({ id }) => id)).toEqual(["n-1", "n-2", "n-3"]);
    expect(stream.inFlight).toBe(3);
  });

  it("waits for nothing that was made of an event and could not be published", async () => {
    const { upstream, open } = await setUp();
    const { events, seen } = await open();
    upstream.produce(1, 0);
    upstream.send(1);
    await until(() => events.length === 1);
    const full = { publish: () => expect.unreachable("refused") };
    expect(() => publishFrom(events[0]!, view(1), full)).toThrow("refused");
    settle(events[0]!);
    await until(() => seen.acked === 1);
  });

  const view = (n: number, bytes = 0) =>
    encoder.encode({
      id: `n-${n}`,
      type: "t",
      payload: "x".repeat(bytes),
      metadata: undefined,
      timestamp: undefined,
      sourceComponentId: "up",
      contentType: "",
    });

  it.each([
    ["another component", "other", "up-1"],
    ["another instance", "up", "up-2"],
    ["nobody", "", ""],
  ])("ends, before it takes an event, when %s answers at the address", async (_title, componentId, instanceId) => {
    const { upstream, open } = await setUp();
    upstream.opened = encodeOpened(componentId, instanceId);
    const { events, ends, seen } = await open();
    seen.call.write(encodeBatch(1, [view(1)]));
    await until(() => ends.length > 0);
    expect(ends[0]?.code).toBe("stream/wrong-upstream");
    expect(events).toEqual([]);
  });

  it("takes no word for the end that is of another number of events than came", async () => {
    const { open } = await setUp();
    for (const [number, isEnd] of [
      [1, false],
      [0, true],
    ] as const) {
      const { ends, seen, said } = await open();
      seen.call.write(encodeEnd(number));
      await until(() => ends.length > 0 || said.length > 0);
      expect(said).toEqual(isEnd ? ["ended"] : []);
      expect(ends.map((error) => error?.code)).toEqual(isEnd ? [] : ["stream/out-of-order"]);
    }
  });

  it("takes no word for the end that comes before it is known who says so", async () => {
    const { upstream, open } = await setUp();
    upstream.opened = encodeEnd(0);
    const { ends, said } = await open();
    await until(() => ends.length > 0 || said.length > 0);
    expect([said, ends.map((error) => error?.code)]).toEqual([[], ["stream/out-of-order"]]);
  });

  it("ends when it is sent more events than it granted, and takes none of the message that does so", async () => {
    const { open } = await setUp();
    const { events, ends, seen } = await open();
    seen.call.write(
      encodeBatch(
        1,
        Array.from({ length: 100 }, (_, i) => view(i + 1)),
      ),
    );
    await until(() => events.length === 100);
    seen.call.write(encodeBatch(101, [view(101)]));
    await until(() => ends.length > 0);
    expect(ends[0]?.code).toBe("stream/credit-exceeded");
    expect(events.length).toBe(100);
  });

  it("ends when it is sent more bytes than it granted, but takes one larger event when nothing is in flight", async () => {
    const { open } = await setUp();
    const { events, ends, seen } = await open();
    seen.call.write(encodeBatch(1, [view(1, 150_000)]));
    await until(() => events.length === 1);
    expect(ends).toEqual([]);
    seen.call.write(encodeBatch(2, [view(2)]));
    await until(() => ends.length > 0);
    expect(ends[0]?.code).toBe("stream/credit-exceeded");
    expect(events.length).toBe(1);
  });

  it("acknowledges what came again once, though more is made of what came first after it was done", async () => {
    const { upstream, open } = await setUp();
    const first = await open();
    upstream.produce(2, 0);
    upstream.send(2);
    await until(() => first.events.length === 2);
    const second = await open();
    upstream.send(2);
    await until(() => second.events.length === 2);
    const [a, b] = first.events;
    a!.origin.linkRedelivery(a!.sequence, second.events[0]!);
    b!.origin.linkRedelivery(b!.sequence, second.events[1]!);
    settle(a!);
    hold(a!);
    settle(a!);
    settle(b!);
    await until(() => upstream.owed.length === 0);
    expect(second.seen.acked).toBe(2);
  });
});
