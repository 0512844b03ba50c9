import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AckTracker } from "./ack-tracker.ts";

describe("an acknowledgement tracker", () => {
  it("acknowledges what is done up to the first that is not, and grants as much again, like a list of counts", () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant("arrive" as const), n: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ what: fc.constantFrom("hold" as const, "settle" as const), n: fc.nat(60) }),
      fc.record({ what: fc.constant("ack" as const), n: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 150 }), (steps) => {
        const window = { maxEvents: 100, maxBytes: 1_000 };
        const tracker = new AckTracker(window, 4);
        const open: number[] = [];
        let acked = 0;
        for (const { what, n } of steps) {
          const unfinished = open.flatMap((count, index) => (index >= acked && count > 0 ? [index] : []));
          const index = unfinished[n % Math.max(1, unfinished.length)];
          if (what === "arrive") {
            tracker.arrived(
              Buffer.from([open.length]),
              Array.from({ length: n }, (_, i) => ({ size: sizeOf(open.length + i) })),
            );
            for (let i = 0; i < n; i++) open.push(1);
          } else if (what === "ack") {
            const before = acked;
            while (acked < open.length && open[acked] === 0) acked++;
            expect(tracker.takeAck()).toBe(acked === before ? undefined : acked);
          } else if (index !== undefined && what === "hold") {
            tracker.hold(index + 1);
            open[index]!++;
          } else if (index !== undefined) expect(tracker.settle(index + 1)).toBe(--open[index]! === 0);
          const bytes = open.slice(0, acked).reduce((sum, _, i) => sum + sizeOf(i), 0);
          expect(tracker.credit()).toEqual({ maxSequence: acked + 100, maxBytes: bytes + 1_000 });
          expect(tracker.inFlight).toBe(open.length - acked);
          expect(open.every((count, i) => tracker.isDone(i + 1) === (i < acked || count === 0))).toBe(true);
          const kept = [...tracker.unacknowledged()];
          expect(kept.every(({ first, count }) => first + count - 1 > acked)).toBe(true);
          expect(kept.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThanOrEqual(open.length - acked);
        }
      }),
    );
  });

  it("is not moved by who settles or holds what is acknowledged already, though its place is somebody else's by now", () => {
    const tracker = new AckTracker({ maxEvents: 10, maxBytes: 10 }, 2);
    for (let sequence = 1; sequence <= 6; sequence++) {
      tracker.arrived(Buffer.alloc(0), [{ size: 1 }]);
      if (sequence > 2) {
        tracker.hold(sequence - 2);
        expect(tracker.settle(sequence - 2)).toBe(false);
        expect(tracker.isDone(sequence - 2)).toBe(true);
      }
      expect(tracker.isDone(sequence)).toBe(false);
      expect(tracker.settle(sequence)).toBe(true);
      expect(tracker.takeAck()).toBe(sequence);
    }
  });
});

function sizeOf(index: number): number {
  return 1 + (index % 5);
}
