import { describe, expect, it } from "vitest";
import { EventEncoder } from "../../protocol/event-encoder.ts";
import { SlabPool } from "../../protocol/slab-pool.ts";
import type { OutgoingBatch } from "../../protocol/stream-codec.ts";
import type { Member } from "./member.ts";
import { Publisher } from "./publisher.ts";
import { event, group, Peer, setUp } from "./publisher-world.fake.ts";

describe("a publisher", () => {
  it("keeps events until the first instance of every group has connected and acknowledged", () => {
    const { publish, settled, turn, connect } = setUp([group("a"), group("b")]);
    publish(1);
    turn();
    const a = connect("a", "a-1");
    a.member?.ack(1);
    expect(settled).toEqual([]);
    const b = connect("b", "b-1");
    expect(b.ids()).toEqual(["n-1"]);
    b.member?.ack(1);
    expect(settled).toEqual([1]);
  });

  it("settles an event at once when no group wants it", () => {
    const { publish, settled } = setUp([group("a", { types: ["x"] })]);
    publish(1, "", "y");
    expect(settled).toEqual([1]);
  });

  it("sends only the types that a group asks for", () => {
    const { publish, settled, turn, connect } = setUp([group("a", { types: ["x"] }), group("b")]);
    const a = connect("a", "a-1");
    const b = connect("b", "b-1");
    publish(1, "", "x");
    publish(2, "", "y");
    turn();
    expect(a.ids()).toEqual(["n-1"]);
    expect(b.ids()).toEqual(["n-1", "n-2"]);
    b.member?.ack(2);
    expect(settled).toEqual([2]);
  });

  it("hands dead letters to dead-letter groups only", () => {
    const { publisher, publish, turn, connect } = setUp([group("a"), group("dead", { deadLetters: true })]);
    const a = connect("a", "a-1");
    const dead = connect("dead", "dead-1");
    publish(1);
    publisher.publish(event(2), { settle: () => undefined }, 0, true);
    turn();
    expect(a.ids()).toEqual(["n-1"]);
    expect(dead.ids()).toEqual(["n-2"]);
  });

  it("passes over dead letters that were acknowledged before a slow group came to them", () => {
    const { publisher, publish, settled, turn, connect } = setUp([group("a"), group("dead", { deadLetters: true })]);
    const a = connect("a", "a-1", 1);
    const dead = connect("dead", "dead-1");
    const receipt = { settle: (tag: number) => settled.push(tag) };
    publish(1);
    publish(2);
    // In the same memory, and with the same receipt, as what is made from one input.
    publisher.publish(event(3), receipt, 3, true);
    publisher.publish(event(4), receipt, 4);
    publish(5);
    turn();
    expect(dead.ids()).toEqual(["n-3"]);
    dead.member?.ack(1);
    expect(settled).toEqual([3]);
    a.creditSequence = 100;
    a.member?.grant({ maxSequence: 100, maxBytes: 1e9 });
    expect(a.ids()).toEqual(["n-1", "n-2", "n-4", "n-5"]);
    a.member?.ack(4);
    expect(settled).toEqual([3, 1, 2, 4, 5]);
    expect(publisher.counters().inFlight).toBe(0);
  });

  it("never sends more than the credit in events, and goes on when it grows", () => {
    const { publish, turn, connect } = setUp([group("a")]);
    const a = connect("a", "a-1", 2);
    for (let n = 1; n <= 5; n++) publish(n);
    turn();
    expect(a.ids()).toEqual(["n-1", "n-2"]);
    a.creditSequence = 4;
    a.member?.grant({ maxSequence: 4, maxBytes: 1e9 });
    expect(a.ids()).toEqual(["n-1", "n-2", "n-3", "n-4"]);
    a.member?.grant({ maxSequence: 3, maxBytes: 10 });
    expect(a.got.length).toBe(4);
  });

  it("never sends more bytes than the credit, but lets one larger event through when nothing is in flight", () => {
    const { publish, turn, connect } = setUp([group("a")]);
    const size = event(1).size;
    const a = connect("a", "a-1", 1000, size + 1);
    publish(1);
    publish(2);
    turn();
    expect(a.ids()).toEqual(["n-1"]);
    a.member?.ack(1);
    expect(a.ids()).toEqual(["n-1", "n-2"]);
  });

  it.each([
    ["in runs", ""],
    ["by key", "payload.key"],
  ])("sends no more than 2,048 events, or one event beyond 1 MiB, in one batch: %s", (_title, partitionBy) => {
    const { publisher, publish, turn } = setUp([group("a", { partitionBy })]);
    for (let n = 0; n < 5_000; n++) publish(n);
    for (let n = 5_000; n < 5_200; n++) publish(n, "x".repeat(20_000));
    turn();
    const counts: number[] = [];
    const sizes: number[] = [];
    const send = (batch: OutgoingBatch): boolean => {
      counts.push(batch.count);
      sizes.push(batch.size);
      batch.drop();
      return true;
    };
    const transport = { send, finish: () => undefined, fail: () => undefined };
    publisher.attach("a", "a-1", transport, { maxSequence: 1e6, maxBytes: 1e9 });
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(5_200);
    expect(Math.max(...counts)).toBe(2_048);
    expect(Math.max(...sizes)).toBeGreaterThan(1_024 * 1_024 - 20_100);
    expect(Math.max(...sizes)).toBeLessThan(1_024 * 1_024 + 20_100);
  });

  it("stops while the transport is full, and goes on when it has drained", () => {
    const { publish, turn, connect } = setUp([group("a")]);
    const a = connect("a", "a-1");
    a.full = true;
    publish(1);
    turn();
    publish(2);
    turn();
    expect(a.ids()).toEqual(["n-1"]);
    a.full = false;
    a.member?.drained();
    expect(a.ids()).toEqual(["n-1", "n-2"]);
  });

  it("has no room when the limit is reached, and has room again when the slowest group acknowledges", async () => {
    const { publisher, publish, turn, connect } = setUp([group("a"), group("b")], { maxEvents: 2 });
    const a = connect("a", "a-1");
    const b = connect("b", "b-1");
    publish(1);
    expect(publisher.room()).toBeUndefined();
    publish(2);
    const room = publisher.room();
    expect(room).toBeInstanceOf(Promise);
    turn();
    a.member?.ack(2);
    expect(publisher.hasRoom).toBe(false);
    b.member?.ack(1);
    await room;
    expect(publisher.room()).toBeUndefined();
  });

  it("holds nobody up any more once it is told so, whatever the topology says afterwards", async () => {
    const { publisher, publish } = setUp([group("a")], { maxEvents: 2 });
    publish(1);
    publish(2);
    let told = false;
    void publisher.room()!.then(() => (told = true));
    publisher.disableBackpressure();
    await Promise.resolve();
    expect(told).toBe(true);
    publisher.setGroups([group("a"), group("b")]);
    publisher.setInFlightAllowance({ events: 1, bytes: 0 });
    for (let n = 3; n < 10; n++) {
      expect(publisher.room()).toBeUndefined();
      publish(n);
    }
  });

  it("tells whoever waits for room when a full group is given a larger buffer, or one that drops", async () => {
    const full = { type: "memory", maxEvents: 2, maxBytes: 0, whenFull: "block" } as const;
    for (const buffer of [undefined, { ...full, maxEvents: 3 }, { ...full, whenFull: "drop_newest" as const }]) {
      const { publisher, publish } = setUp([group("a", { buffer: full })]);
      publish(1);
      publish(2);
      let told = false;
      void publisher.room()!.then(() => (told = true));
      publisher.setGroups([group("a", { buffer: full })]);
      await Promise.resolve();
      expect(told).toBe(false);
      publisher.setGroups([group("a", buffer === undefined ? {} : { buffer })]);
      await Promise.resolve();
      expect(told).toBe(true);
    }
  });

  it("sends what a lost instance had not acknowledged to another, before anything newer", () => {
    const { publisher, publish, turn, connect } = setUp([group("a")]);
    const first = connect("a", "a-1");
    for (let n = 1; n <= 4; n++) publish(n);
    turn();
    first.member?.ack(1);
    publisher.detach("a", first.member!);
    publish(5);
    turn();
    const second = connect("a", "a-2");
    expect(second.ids()).toEqual(["n-2", "n-3", "n-4", "n-5"]);
  });

  it("lets a second stream of the same instance take over", () => {
    const { publish, settled, turn, connect } = setUp([group("a")]);
    const old = connect("a", "a-1");
    publish(1);
    turn();
    const fresh = connect("a", "a-1");
    expect(old.failure?.code).toBe("stream/replaced");
    expect(fresh.ids()).toEqual(["n-1"]);
    old.member?.ack(1);
    expect(settled).toEqual([]);
    fresh.member?.ack(1);
    expect(settled).toEqual([1]);
  });

  it("sends a refused event again later, under a new sequence number", () => {
    const { publish, settled, turn, connect, fireTimers } = setUp([group("a")]);
    const a = connect("a", "a-1");
    for (let n = 1; n <= 3; n++) publish(n);
    turn();
    a.member?.nack(2);
    a.member?.ack(3);
    expect(settled).toEqual([1, 3]);
    fireTimers();
    expect(a.got.at(-1)).toMatchObject({ sequence: 4 });
    expect(a.got.at(-1)?.event.id).toBe("n-2");
    a.member?.ack(4);
    expect(settled).toEqual([1, 3, 2]);
  });

  it("sends an event again that was refused twice before anything of it was acknowledged", () => {
    const { publish, settled, turn, connect, fireTimers } = setUp([group("a")]);
    const a = connect("a", "a-1");
    for (let n = 1; n <= 8; n++) publish(n);
    turn();
    a.member?.nack(3);
    fireTimers();
    expect(a.got.at(-1)).toMatchObject({ sequence: 9 });
    a.member?.nack(9);
    a.member?.nack(9);
    a.member?.ack(9);
    expect(settled).toEqual([1, 2, 4, 5, 6, 7, 8]);
    fireTimers();
    expect(a.got.length).toBe(10);
    expect(a.got.at(-1)?.event.id).toBe("n-3");
    a.member?.ack(10);
    expect(settled.at(-1)).toBe(3);
  });

  it("sends an event again that two instances refused one after the other", () => {
    const { publisher, publish, settled, turn, connect, fireTimers } = setUp([group("a")]);
    const first = connect("a", "a-1", 1);
    publish(1);
    turn();
    const second = connect("a", "a-2", 1);
    first.member?.nack(1);
    fireTimers();
    expect(second.ids()).toEqual(["n-1"]);
    second.member?.nack(1);
    second.member?.ack(1);
    publisher.detach("a", second.member!);
    first.creditSequence = 2;
    first.member?.grant({ maxSequence: 2, maxBytes: 1e9 });
    fireTimers();
    expect(first.ids()).toEqual(["n-1", "n-1"]);
    publisher.detach("a", first.member!);
    const third = connect("a", "a-3");
    expect(third.ids()).toEqual(["n-1"]);
    third.member?.ack(1);
    expect(settled).toEqual([1]);
  });

  it.each([
    ["of what was not sent", "stream/ack-of-unsent", (m: Member) => m.ack(9)],
    ["backwards", "stream/ack-backwards", (m: Member) => [2, 1].map((n) => m.ack(n))],
    ["by refusing what is done", "stream/nack-of-unsent", (m: Member) => [m.ack(2), m.nack(1)]],
  ])("ends the stream of a peer that acknowledges %s, and no other", (_what, code, lie) => {
    const { publish, turn, connect } = setUp([group("a"), group("b")]);
    const liar = connect("a", "a-1");
    const honest = connect("b", "b-1");
    publish(1);
    publish(2);
    turn();
    lie(liar.member!);
    expect(liar.failure?.code).toBe(code);
    expect(honest.failure).toBeUndefined();
    honest.member?.ack(2);
    expect(honest.failure).toBeUndefined();
  });

  it("tells every member the end only when its group has acknowledged everything", () => {
    const { publisher, publish, turn, connect } = setUp([group("a"), group("b")]);
    const a1 = connect("a", "a-1");
    const a2 = connect("a", "a-2");
    const b = connect("b", "b-1");
    publish(1);
    publish(2);
    turn();
    publisher.end();
    expect([a1.ended, a2.ended, b.ended]).toEqual([undefined, undefined, undefined]);
    a1.member?.ack(1);
    expect([a1.ended, a2.ended]).toEqual([undefined, undefined]);
    a2.member?.ack(1);
    expect([a1.ended, a2.ended, b.ended]).toEqual([1, 1, undefined]);
    b.member?.ack(2);
    expect(b.ended).toBe(2);
  });

  it("tells the end to an instance that connects after it", () => {
    const { publisher, connect } = setUp([group("a")]);
    publisher.end();
    expect(connect("a", "a-1").ended).toBe(0);
  });

  it("forgets what a removed group was owed", () => {
    const { publisher, publish, settled, turn, connect } = setUp([group("a"), group("b")]);
    const a = connect("a", "a-1");
    const b = connect("b", "b-1");
    publish(1);
    turn();
    publish(2);
    a.member?.ack(1);
    publisher.setGroups([group("a")]);
    expect(b.failure?.code).toBe("stream/group-removed");
    expect(settled).toEqual([1]);
    turn();
    a.member?.ack(2);
    expect(settled).toEqual([1, 2]);
  });

  it("still gives a group what it was owed when its types change", () => {
    const { publisher, publish, settled, turn, connect } = setUp([group("a")]);
    publish(1, "", "x");
    publisher.setGroups([group("a", { types: ["y"] })]);
    publish(2, "", "x");
    publish(3, "", "y");
    turn();
    const a = connect("a", "a-1");
    expect(a.ids()).toEqual(["n-1", "n-3"]);
    expect(settled).toEqual([2]);
  });

  it("takes events and dead letters for one group when both go there", () => {
    const { publisher, publish, turn, connect, settled } = setUp([group("a"), group("a", { deadLetters: true })]);
    const a = connect("a", "a-1");
    publish(1);
    publisher.publish(event(2), { settle: () => settled.push(2) }, 0, true);
    turn();
    expect(a.ids()).toEqual(["n-1", "n-2"]);
    a.member?.ack(2);
    expect(settled).toEqual([1, 2]);
  });

  it("lets go of the memory of events that are acknowledged, sent again ones included", () => {
    const memory = new SlabPool();
    const encoder = new EventEncoder(memory);
    const deferred: (() => void)[] = [];
    const publisher = new Publisher({ memory, defer: (action) => deferred.push(action) });
    publisher.setGroups([group("a"), group("b")]);
    const connect = (groupId: string): Peer => {
      const peer = new Peer();
      peer.creditSequence = 1e6;
      peer.member = publisher.attach(groupId, `${groupId}-1`, peer, { maxSequence: 1e6, maxBytes: 1e9 });
      return peer;
    };
    const a = connect("a");
    let b = connect("b");
    const slabs = new Set<Buffer>();
    for (let round = 0; round < 50; round++) {
      for (let n = 0; n < 40; n++) {
        const view = encoder.encode({
          id: `n-${n}`,
          type: "t",
          payload: "x".repeat(4_000),
          metadata: undefined,
          timestamp: undefined,
          sourceComponentId: "s",
          contentType: "",
        });
        slabs.add(view.buffer);
        publisher.publish(view, { settle: () => undefined });
      }
      for (const action of deferred.splice(0)) action();
      b = connect("b");
      a.member!.ack(a.got.length);
      b.member!.ack(b.got.length);
    }
    expect(publisher.counters().inFlight).toBe(0);
    expect(slabs.size).toBeLessThanOrEqual(5);
  });

  it("asks for patience while it does not know its topology", () => {
    const transport = { send: () => true, finish: () => undefined, fail: () => undefined };
    expect(() => new Publisher().attach("a", "a-1", transport, { maxSequence: 1, maxBytes: 1 })).toThrowError(
      expect.objectContaining({ code: "stream/not-ready", kind: "unavailable" }),
    );
  });

  it("refuses a group that the topology does not have", () => {
    const { connect } = setUp([group("a")]);
    expect(() => connect("z", "z-1")).toThrowError(expect.objectContaining({ code: "stream/unknown-group" }));
  });
});
