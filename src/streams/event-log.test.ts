import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { viewOfEvent } from "../protocol/encoded-events.fake.ts";
import type { EventView } from "../protocol/event-view.ts";
import { EventLog } from "./event-log.ts";
import { event } from "./publisher-world.fake.ts";

describe("an event log", () => {
  it("keeps what belongs to each event while it grows and its ring turns, and gives sizes and tags back", () => {
    const step = fc.record({ append: fc.integer({ min: 1, max: 40 }), acknowledge: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        const log = new EventLog(undefined, 4);
        const settled: number[] = [];
        const receipt = { settle: (tag: number) => settled.push(tag) };
        const sizes: number[] = [];
        let next = 0;
        for (const { append, acknowledge } of steps) {
          for (let i = 0; i < append; i++) {
            const view = event(sizes.length, "x".repeat(sizes.length % 7));
            expect(log.append(view, receipt, sizes.length * 3, 1, sizes.length % 5 === 0)).toBe(sizes.length);
            sizes.push(view.size);
          }
          const count = Math.min(acknowledge, sizes.length - next);
          for (let at = 0; at < next; at++) expect(log.get(at)).toBeUndefined();
          for (let at = next; at < sizes.length; at++) {
            expect(log.get(at)?.id).toBe(`n-${at}`);
            expect(log.isDeadLetter(at)).toBe(at % 5 === 0);
          }
          const expected = sizes.slice(next, next + count).reduce((sum, size) => sum + size, 0);
          expect(log.acknowledge(next, count)).toBe(expected);
          next += count;
          expect(settled).toEqual(Array.from({ length: next }, (_, i) => i * 3));
          expect(log.base).toBe(next);
          expect(log.unsettled).toBe(sizes.length - next);
        }
      }),
    );
  });

  it("settles an event when the last of the groups that want it has acknowledged it", () => {
    const log = new EventLog(undefined, 2);
    const settled: number[] = [];
    for (let n = 0; n < 5; n++) log.append(event(n), { settle: (tag) => settled.push(tag) }, n, 2, false);
    log.acknowledge(0, 5);
    expect(settled).toEqual([]);
    log.acknowledge(3, 2);
    expect(settled).toEqual([3, 4]);
    expect(log.base).toBe(0);
    log.acknowledge(0, 3);
    expect(settled).toEqual([3, 4, 0, 1, 2]);
    expect(log.base).toBe(5);
  });

  it("retains the memory of events exactly as long as one of them is not settled", () => {
    const step = fc.record({ buffer: fc.nat(3), receipt: fc.nat(1), acknowledge: fc.nat(60) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const uses = new Map<Buffer, number>();
        const count = (buffer: Buffer, by: number): void => void uses.set(buffer, (uses.get(buffer) ?? 0) + by);
        const log = new EventLog({ retain: (buffer) => count(buffer, 1), release: (buffer) => count(buffer, -1) }, 2);
        const buffers = Array.from({ length: 4 }, (_, i) => viewOfEvent(Buffer.from([0x0a, 1, 0x61 + i])));
        const settled: string[] = [];
        const receipts = [0, 1].map((r) => ({ settle: (tag: number) => settled.push(`${r}:${tag}`) }));
        const open: { position: number; event: EventView; told: string }[] = [];
        const expected: string[] = [];
        steps.forEach(({ buffer, receipt, acknowledge }, tag) => {
          const event = buffers[buffer]!;
          const position = log.append(event, receipts[receipt]!, tag, 1, false);
          open.push({ position, event, told: `${receipt}:${tag}` });
          for (const { position: at, event: view } of open) expect(log.get(at)?.id).toBe(view.id);
          // Out of order, as several members acknowledge.
          for (const { position: at, told } of open.splice(acknowledge % (open.length + 1), 1 + (acknowledge % 2))) {
            log.acknowledge(at, 1);
            expected.push(told);
          }
          expect(settled).toEqual(expected);
          for (const view of buffers) {
            const needed = open.some(({ event: { buffer: held } }) => held === view.buffer);
            expect((uses.get(view.buffer) ?? 0) > 0).toBe(needed);
          }
        });
        for (const { position } of open) log.acknowledge(position, 1);
        expect([...uses.values()].every((n) => n === 0)).toBe(true);
      }),
    );
  });
});
