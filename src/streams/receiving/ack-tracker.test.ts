import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TextMemo } from "../../protocol/text-memo.ts";
import { AckTracker } from "./ack-tracker.ts";
import { QUEUE_MS } from "./queue-pace.ts";
import type { Origin } from "./received-event.ts";

const origin: Origin = {
  upstream: "up",
  texts: new TextMemo(),
  hold: () => undefined,
  settle: () => undefined,
  settleRun: () => undefined,
  isDone: () => false,
  linkRedelivery: () => undefined,
};

describe("an acknowledgement tracker", () => {
  it("acknowledges what is done up to the first that is not, and grants what the window and the queue allow, like a list of counts", () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant("arrive" as const), n: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ what: fc.constantFrom("hold" as const, "settle" as const), n: fc.nat(60) }),
      fc.record({ what: fc.constantFrom("ack" as const, "settle run" as const), n: fc.nat(12) }),
      fc.record({ what: fc.constant("take" as const), n: fc.nat(20) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 150 }), (steps) => {
        const window = { maxEvents: 100, maxBytes: 300, queue: { minEvents: 30, maxEvents: 30, maxBytes: 100 } };
        const tracker = new AckTracker(window, 4);
        const open: number[] = [];
        let acked = 0;
        let taken = 0;
        for (const { what, n } of steps) {
          const unfinished = open.flatMap((count, index) => (index >= acked && count > 0 ? [index] : []));
          const index = unfinished[n % Math.max(1, unfinished.length)];
          if (what === "arrive") {
            // What was read of a message that was broken off does not count.
            for (let i = 0; i < n % 3; i++) tracker.add(1, 2, 3);
            tracker.restart();
            expect(tracker.added).toBe(0);
            for (let i = 0; i < n; i++) tracker.add(i, i + 2, i + 2 + sizeOf(open.length + i));
            expect(tracker.added).toBeGreaterThan(0);
            const message = Buffer.from([open.length]);
            expect(tracker.arrived(message)).toEqual({ message, first: open.length + 1, count: n });
            for (let i = 0; i < n; i++) open.push(1);
          } else if (what === "ack") {
            const before = acked;
            while (acked < open.length && open[acked] === 0) acked++;
            expect(tracker.takeAck()).toBe(acked === before ? undefined : acked);
          } else if (what === "take") {
            const count = Math.min(n, open.length - taken);
            tracker.took(count, bytesOf(taken, taken + count));
            taken += count;
          } else if (what === "settle run") {
            const first = index ?? open.length;
            let last = first;
            while (last - first < n && last < open.length && open[last]! > 0) last++;
            const run = open.slice(first, last).map((count) => count - 1);
            expect(tracker.settleRun(first + 1, run.length)).toBe(run.includes(0));
            open.splice(first, run.length, ...run);
          } else if (index !== undefined && what === "hold") {
            tracker.hold(index + 1);
            open[index]!++;
          } else if (index !== undefined) expect(tracker.settle(index + 1)).toBe(--open[index]! === 0);
          expect(tracker.credit()).toEqual({
            maxSequence: Math.min(acked + 100, taken + 30),
            maxBytes: Math.min(bytesOf(0, acked) + 300, bytesOf(0, taken) + 100),
          });
          expect(tracker.inFlight).toBe(open.length - acked);
          expect(open.every((count, i) => tracker.isDone(i + 1) === (i < acked || count === 0))).toBe(true);
          const arrivals = [...tracker.unacknowledged()];
          // Messages of which everything is acknowledged are not kept.
          expect(arrivals.every(({ count }) => count > 0)).toBe(true);
          const kept = arrivals.flatMap((arrival) => tracker.views(arrival, origin));
          expect(kept.map(({ sequence }) => sequence)).toEqual(open.slice(acked).map((_, i) => acked + i + 1));
          expect(kept.every(({ size, sequence }) => size === sizeOf(sequence - 1))).toBe(true);
          expect(kept.every(({ buffer, sequence, start }) => buffer[0] === sequence - start - 1)).toBe(true);
        }
      }),
    );
  });

  it("lets as many wait as are taken within some milliseconds, within limits, and takes no credit back", () => {
    let now = 1_000;
    const queue = { minEvents: 10, maxEvents: 50, maxBytes: 1_000 };
    const tracker = new AckTracker({ maxEvents: 1_000, maxBytes: 1_000, queue }, 4, () => now);
    const creditAfter = (ms: number, events: number): number => {
      now += ms;
      tracker.took(events, 0);
      return tracker.credit().maxSequence;
    };
    expect(tracker.credit().maxSequence).toBe(10);
    expect(creditAfter(QUEUE_MS / 2, 20)).toBe(20 + 10);
    expect(creditAfter(QUEUE_MS / 2, 20)).toBe(40 + 40);
    expect(creditAfter(QUEUE_MS, 100)).toBe(140 + 50);
    expect(creditAfter(QUEUE_MS * 2, 40)).toBe(180 + 20);
    expect(creditAfter(QUEUE_MS * 10, 5)).toBe(200);
    expect(creditAfter(1, 30)).toBe(215 + 10);
  });

  it("is not moved by who settles or holds what is acknowledged already, though its place is somebody else's by now", () => {
    const tracker = new AckTracker({ maxEvents: 10, maxBytes: 10 }, 2);
    for (let sequence = 1; sequence <= 6; sequence++) {
      tracker.add(0, 0, 1);
      tracker.arrived(Buffer.alloc(1));
      if (sequence > 2) {
        tracker.hold(sequence - 2);
        expect(tracker.settle(sequence - 2)).toBe(false);
        tracker.settleRun(1, sequence - 2);
        expect(tracker.isDone(sequence - 2)).toBe(true);
      }
      expect(tracker.isDone(sequence)).toBe(false);
      expect(tracker.settle(sequence)).toBe(true);
      expect(tracker.takeAck()).toBe(sequence);
    }
  });
});

function bytesOf(from: number, to: number): number {
  let bytes = 0;
  for (let index = from; index < to; index++) bytes += sizeOf(index);
  return bytes;
}

function sizeOf(index: number): number {
  return 1 + (index % 5);
}
