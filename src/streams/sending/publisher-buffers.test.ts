import { describe, expect, it } from "vitest";
import type { OutgoingBatch } from "../../protocol/stream-codec.ts";
import type { Publisher } from "./publisher.ts";
import { event, group, setUp } from "./publisher-world.fake.ts";

describe("a publisher", () => {
  /** Takes and acknowledges without looking at anything, as these are many. */
  const quick = (publisher: Publisher, groupId: string, instance: string) => {
    let sent = 0;
    const send = (batch: OutgoingBatch): boolean => {
      sent += batch.count;
      batch.drop();
      return true;
    };
    const member = publisher.attach(
      groupId,
      instance,
      { send, finish: () => undefined, fail: () => undefined },
      { maxSequence: 1e9, maxBytes: 1e12 },
    );
    return { acknowledge: () => member.ack(sent) };
  };

  it.each([
    ["shared by instances", { desiredInstances: 2 }, 0],
    ["of few types", { types: ["x"] }, 0],
    ["of which some are buffered", { buffer: { type: "memory", maxEvents: 50, maxBytes: 0, whenFull: "block" } }, 50],
  ] as const)(
    "waits for an instance that is stuck on one event, before it keeps too much in mind: in a group %s",
    (_title, more, extra) => {
      const { publisher, settled, turn, connect } = setUp([group("a", more), group("fast")]);
      const stuck = connect("a", "a-1", 1);
      const others = [quick(publisher, "fast", "fast-1")];
      publisher.publish(event(1, "", "x"), { settle: (tag) => settled.push(tag) }, 0);
      turn();
      if (!("types" in more)) others.push(quick(publisher, "a", "a-2"));
      const view = event(2, "", "y");
      let published = 1;
      while (publisher.hasRoom && published < 1_000_000) {
        for (let i = 0; i < 50; i++) publisher.publish(view, { settle: (tag) => settled.push(tag) }, published++);
        turn();
        for (const other of others) other.acknowledge();
      }
      expect(stuck.got.length).toBe(1);
      expect(published).toBeGreaterThanOrEqual(256 * 1024 - 2048);
      expect(published).toBeLessThan(256 * 1024 + 2048 + extra);
      expect(settled.length).toBe(published - 1);
      stuck.member?.ack(1);
      expect(publisher.hasRoom).toBe(true);
      expect(settled.length).toBe(published);
    },
  );

  it("lets a buffer fill however large it is", () => {
    const buffer = { type: "memory", maxEvents: 300_000, maxBytes: 0, whenFull: "block" } as const;
    const { publisher, turn, connect } = setUp([group("slow", { buffer }), group("fast")]);
    connect("slow", "slow-1", 1);
    const fast = quick(publisher, "fast", "fast-1");
    const view = event(1);
    let published = 0;
    while (publisher.hasRoom && published < 1_000_000) {
      publisher.publish(view, { settle: () => undefined });
      if (++published % 1000 === 0) {
        turn();
        fast.acknowledge();
      }
    }
    expect(published).toBe(300_000);
  });

  describe("whose input asks for a buffer in memory", () => {
    const buffer = { type: "memory", maxEvents: 3, maxBytes: 0 } as const;

    it("lets the siblings go on until the buffer is full, and then blocks", () => {
      const world = setUp([group("slow", { buffer: { ...buffer, whenFull: "block" } }), group("fast")], {
        maxEvents: 2,
      });
      const fast = world.connect("fast", "fast-1");
      for (let n = 1; n <= 3; n++) {
        expect(world.publisher.hasRoom).toBe(true);
        world.publish(n);
        world.turn();
        fast.member?.ack(n);
      }
      expect(world.publisher.hasRoom).toBe(false);
      expect(fast.ids()).toEqual(["n-1", "n-2", "n-3"]);
      world.connect("slow", "slow-1").member?.ack(1);
      expect(world.publisher.hasRoom).toBe(true);
    });

    it("drops the newest when full, counts it, and acknowledges what it takes and what it drops at once", () => {
      const world = setUp([group("slow", { buffer: { ...buffer, whenFull: "drop_newest" } }), group("fast")]);
      const fast = world.connect("fast", "fast-1");
      for (let n = 1; n <= 5; n++) world.publish(n);
      world.turn();
      expect(world.publisher.hasRoom).toBe(true);
      expect(world.publisher.counters()).toMatchObject({ dropped: 2, waiting: { slow: 3, fast: 0 } });
      fast.member?.ack(5);
      expect(world.settled).toEqual([1, 2, 3, 4, 5]);
      const slow = world.connect("slow", "slow-1");
      expect(slow.ids()).toEqual(["n-1", "n-2", "n-3"]);
      slow.member?.ack(3);
      world.publish(6);
      world.turn();
      expect(slow.ids().at(-1)).toBe("n-6");
    });

    it("drops the oldest that was not sent when full, and counts it", () => {
      const world = setUp([group("slow", { buffer: { ...buffer, whenFull: "drop_oldest" } })]);
      const slow = world.connect("slow", "slow-1", 1);
      for (let n = 1; n <= 5; n++) {
        world.publish(n);
        world.turn();
      }
      expect(world.publisher.counters().dropped).toBe(2);
      expect(world.settled).toEqual([1, 2, 3, 4, 5]);
      slow.creditSequence = 10;
      slow.member?.grant({ maxSequence: 10, maxBytes: 1e9 });
      expect(slow.ids()).toEqual(["n-1", "n-4", "n-5"]);
    });

    it("drops as many of the oldest as the newest needs: never the newest itself while something older waits", () => {
      const dropping = (limits: { maxEvents?: number; maxBytes?: number }) =>
        group("slow", { buffer: { ...buffer, whenFull: "drop_oldest", ...limits } });
      const size = event(1).size;
      const large = event(5, "x".repeat(3 * size));
      const world = setUp([dropping({ maxEvents: 0, maxBytes: 4 * size })]);
      for (let n = 1; n <= 3; n++) world.publish(n);
      world.publisher.publish(large, { settle: () => undefined }, 5);
      world.publish(6);
      world.turn();
      const slow = world.connect("slow", "slow-1");
      expect(slow.ids().at(-1)).toBe("n-6");
      slow.member?.ack(slow.got.length);

      world.publisher.setGroups([dropping({ maxEvents: 10, maxBytes: 0 })]);
      slow.full = true;
      world.publish(7);
      world.turn();
      for (let n = 8; n <= 17; n++) world.publish(n);
      world.publisher.setGroups([dropping({ maxEvents: 4, maxBytes: 0 })]);
      world.publish(18);
      slow.full = false;
      slow.member?.drained();
      world.turn();
      expect(slow.ids().slice(-4)).toEqual(["n-7", "n-16", "n-17", "n-18"]);
    });

    it.each(["drop_newest", "drop_oldest"] as const)(
      "holds nobody up when it drops, however long its group is stuck: %s",
      (whenFull) => {
        const world = setUp([group("slow", { buffer: { ...buffer, whenFull } }), group("fast")], { maxEvents: 10 });
        const slow = world.connect("slow", "slow-1", 1);
        const fast = world.connect("fast", "fast-1", 1e6);
        for (let n = 1; n <= 1000; n++) {
          expect(world.publisher.hasRoom).toBe(true);
          world.publish(n);
          world.turn();
          fast.member?.ack(n);
        }
        expect(world.settled.length).toBe(1000);
        expect(world.publisher.counters()).toMatchObject({ inFlight: 0, dropped: 997, waiting: { slow: 2 } });
        expect(slow.got.length).toBe(1);
      },
    );

    it("stops holding anybody up as soon as it is to drop, and loses nothing of what it had", () => {
      const world = setUp([group("slow")], { maxEvents: 4 });
      const slow = world.connect("slow", "slow-1", 2);
      for (let n = 1; n <= 4; n++) world.publish(n);
      world.turn();
      slow.member?.nack(2);
      expect(world.publisher.hasRoom).toBe(false);
      world.publisher.setGroups([group("slow", { buffer: { ...buffer, whenFull: "drop_newest" } })]);
      expect(world.publisher.hasRoom).toBe(true);
      expect(world.settled).toEqual([1, 2, 3, 4]);
      world.publish(5);
      slow.member?.ack(2);
      world.publish(6);
      expect(world.publisher.counters()).toMatchObject({ dropped: 2, waiting: { slow: 3 } });
      slow.creditSequence = 10;
      slow.member?.grant({ maxSequence: 10, maxBytes: 1e9 });
      world.turn();
      world.fireTimers();
      expect(slow.ids().slice(2).sort()).toEqual(["n-2", "n-3", "n-4"]);
    });
  });

  it("gives what a removed group was owed to the one that takes over, in order and before anything newer", () => {
    const { publisher, settled, turn, connect } = setUp([group("a"), group("other")]);
    const receipt = { settle: (tag: number) => void settled.push(tag) };
    const broken = connect("a", "a-1", 2);
    const other = connect("other", "other-1", 100);
    for (let n = 0; n < 5; n++) publisher.publish(event(n), receipt, n);
    turn();
    broken.member?.nack(2);
    broken.member?.ack(1);
    other.member?.ack(5);
    expect(settled).toEqual([0]);
    publisher.setGroups([group("b", { takesOver: ["a"] }), group("other")]);
    publisher.publish(event(5), receipt, 5);
    const heir = connect("b", "b-1", 100);
    turn();
    expect(heir.got.map(({ event: { id } }) => id)).toEqual(["n-1", "n-2", "n-3", "n-4", "n-5"]);
    other.member?.ack(6);
    expect(settled).toEqual([0]);
    heir.member?.ack(5);
    expect(settled).toEqual([0, 1, 2, 3, 4, 5]);
    expect(publisher.counters().inFlight).toBe(0);
  });

  it("has nobody wait for what one that drops takes over", () => {
    const { publisher, settled, turn, connect } = setUp([group("a")]);
    const receipt = { settle: (tag: number) => void settled.push(tag) };
    for (let n = 0; n < 3; n++) publisher.publish(event(n), receipt, n);
    const buffer = { type: "memory", maxEvents: 2, maxBytes: 0, whenFull: "drop_newest" } as const;
    publisher.setGroups([group("b", { takesOver: ["a"], buffer })]);
    expect(settled).toEqual([0, 1, 2]);
    expect(publisher.counters().inFlight).toBe(0);
    const heir = connect("b", "b-1", 100);
    turn();
    expect(heir.ids()).toEqual(["n-0", "n-1", "n-2"]);
  });

  it("gives up what a removed group was owed where nobody takes over, or the heir does not want it", () => {
    const { publisher, settled, turn, connect } = setUp([group("a")]);
    const receipt = { settle: (tag: number) => void settled.push(tag) };
    connect("a", "a-1", 1);
    for (let n = 0; n < 3; n++) publisher.publish(event(n, "", n === 1 ? "x" : "t"), receipt, n);
    turn();
    publisher.setGroups([group("b", { takesOver: ["a"], types: ["x"] })]);
    expect([...settled].sort()).toEqual([0, 2]);
    publisher.setGroups([]);
    expect([...settled].sort()).toEqual([0, 1, 2]);
  });

  it("says that a group has drained once it has acknowledged what it was owed, and ends its members", () => {
    const { publisher, turn, connect } = setUp([group("a")]);
    const peer = connect("a", "a-1", 100);
    publisher.publish(event(0), { settle: () => undefined }, 0);
    turn();
    publisher.setGroups([group("a", { draining: true })]);
    publisher.publish(event(1), { settle: () => undefined }, 1);
    turn();
    expect(publisher.drainedGroups()).toEqual([]);
    peer.member?.ack(1);
    expect(publisher.drainedGroups()).toEqual(["a"]);
    expect([peer.got.length, peer.ended]).toEqual([1, 1]);
  });
});
