import { expect, it } from "vitest";
import type { FlowctlError } from "../foundation/errors.ts";
import { type ReceivedEvent, settle } from "./received-event.ts";
import { ScriptedUpstream } from "./scripted-upstream.fake.ts";
import { dial, UpstreamStream } from "./upstream-stream.ts";

const WINDOW = { maxEvents: 100, maxBytes: 100_000 };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

it("says nothing after its goodbye, whatever becomes done then, and ends when the other side has confirmed", async () => {
  const violations: string[] = [];
  const upstream = new ScriptedUpstream("up", "up-1", violations);
  upstream.window = { maxSequence: WINDOW.maxEvents, maxBytes: WINDOW.maxBytes };
  await upstream.listen();
  const client = dial(upstream.address);
  try {
    const events: ReceivedEvent[] = [];
    const ends: (FlowctlError | undefined)[] = [];
    const who = { pipeline: "p", componentId: "down", instanceId: "down-1" };
    const stream: UpstreamStream = new UpstreamStream(client, upstream.address, "up", who, WINDOW, {
      opened: () => undefined,
      events: (arrival) => void events.push(...stream.views(arrival)),
      ended: () => undefined,
      closed: (error) => void ends.push(error),
    });
    await until(() => upstream.stream !== undefined);
    const seen = upstream.stream!;
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
    expect(violations).toEqual([]);
  } finally {
    client.close();
    await upstream.close();
  }
});
