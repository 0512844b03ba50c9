import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { viewOfEvent } from "../../protocol/encoded-events.fake.ts";
import { EventView } from "../../protocol/event-view.ts";
import { eventsOf, OutgoingBatch } from "../../protocol/stream-codec.ts";
import { EventLog } from "./event-log.ts";
import { event, inRuns } from "./publisher-world.fake.ts";

interface Step {
  readonly append: number;
  readonly keepEvery: number;
  readonly settle: number;
}

describe("an event log", () => {
  it("keeps what belongs to each event while it grows and its ring turns, and gives sizes and tags back", () => {
    const step = fc.record({ append: fc.integer({ min: 1, max: 40 }), acknowledge: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
        const log = new EventLog(undefined, 4);
        const settled: number[] = [];
        const tagOf = (n: number): number => n + 10 * Math.floor(n / 7);
        const receipt = inRuns((tag) => settled.push(tag));
        const sizes: number[] = [];
        let next = 0;
        for (const { append, acknowledge } of steps) {
          for (let i = 0; i < append; i++) {
            const view = event(sizes.length, "x".repeat(sizes.length % 7));
            expect(log.append(view, receipt, tagOf(sizes.length), 1, sizes.length % 5 === 0)).toBe(sizes.length);
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
          expect(settled).toEqual(Array.from({ length: next }, (_, i) => tagOf(i)));
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

  it("puts events of several memories into a batch, each from its own, though one begins where the other ends", () => {
    const log = new EventLog(undefined, 2);
    const receipt = { settle: () => undefined };
    const lines = ["a0a1a2a3", "b0b1b2b3"].map((line) =>
      Buffer.concat((line.match(/../g) ?? []).map((id) => viewOfEvent(Buffer.from(`\n\u0002${id}`)).buffer)),
    );
    const size = lines[0]!.length / 4;
    [0, 1, 1, 0].forEach((line, i) => {
      const view = new EventView(lines[line]!, i * size, i * size + 2, (i + 1) * size, undefined, 0);
      log.append(view, receipt, i, 1, false);
    });
    const batch = new OutgoingBatch(1);
    expect(log.fill(batch, 0, 4, 1e6, 1e6)).toEqual({ taken: 4, bytes: 4 * (size - 2) });
    expect(eventsOf(batch.toBuffer()).map(({ id }) => id)).toEqual(["a0", "b1", "b2", "a3"]);
  });

  it("fills a batch until it has the size that it may have, with what lies side by side as well, counting what was in it", () => {
    const log = new EventLog(undefined, 2);
    const receipt = { settle: () => undefined };
    const one = viewOfEvent(Buffer.from("\n\u0002a0"));
    const size = one.buffer.length;
    const row = Buffer.concat(Array<Buffer>(9).fill(one.buffer));
    for (let i = 0; i < 9; i++) {
      const view = new EventView(row, i * size, i * size + 2, (i + 1) * size, undefined, 0);
      log.append(view, receipt, i, 1, false);
    }
    const batch = new OutgoingBatch(1);
    expect(log.fill(batch, 0, 9, 1e6, 2 * size + 1).taken).toBe(3);
    expect(log.fill(batch, 3, 9, 1e6, 5 * size).taken).toBe(2);
    expect(log.fill(batch, 5, 9, 1e6, 5 * size).taken).toBe(0);
    expect(log.fill(batch, 5, 3, 1e6, 1e6).taken).toBe(3);
    expect(batch.size).toBe(8 * size);
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
        const receipts = [
          { settle: (tag: number) => settled.push(`0:${tag}`) },
          inRuns((tag) => settled.push(`1:${tag}`)),
        ];
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

  it("keeps little more memory than what is not settled needs, however few of the events that lie together that are", () => {
    const compactAt = 64 * 1024;
    const step = fc.record({
      append: fc.integer({ min: 1, max: 400 }),
      keepEvery: fc.integer({ min: 1, max: 200 }),
      settle: fc.constantFrom(0, 0, 30, 3_000),
    });
    // Much is needed at first, and next to nothing later.
    const [whole, single] = [118, 1].map((append) => ({ append, keepEvery: 1, settle: 0 })) as [Step, Step];
    const heldForLong = [whole, whole, single, { ...single, settle: 3_000 }, ...Array<Step>(5).fill(single)];
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40, size: "max" }), fc.nat(2), (steps, alternate) => {
        const receiptOf = (n: number): number => (alternate < 2 ? (n % 2) * alternate : 1);
        const uses = new Map<Buffer, number>();
        const count = (buffer: Buffer, by: number): void => void uses.set(buffer, (uses.get(buffer) ?? 0) + by);
        const memory = { retain: (buffer: Buffer) => count(buffer, 1), release: (buffer: Buffer) => count(buffer, -1) };
        const log = new EventLog(memory, 4, compactAt);
        const told: string[] = [];
        const receipts = [
          inRuns((tag) => void told.push(`0:${tag}`)),
          { settle: (tag: number) => void told.push(`1:${tag}`) },
        ];
        const kept: number[] = [];
        let bytes = 0;
        for (const { append, keepEvery, settle } of steps) {
          const slab = Buffer.alloc(24_000);
          let at = 0;
          for (let i = 0; i < append; i++) {
            const n = log.next;
            const original = viewOfEvent(
              Buffer.from(`\n\u0005${String(n).padStart(5, "0")}\u001a\u0028${"x".repeat(40)}`),
            );
            original.buffer.copy(slab, at);
            const end = at + original.buffer.length;
            const view = new EventView(slab, at, at + original.body, end, undefined, 0);
            at = end;
            log.append(view, receipts[receiptOf(n)]!, n, 1, false);
            if (n % keepEvery === 0) {
              kept.push(n);
              expect(original.buffer.length).toBe(51);
              bytes += 51;
            } else log.acknowledge(n, 1);
          }
          for (const n of kept.splice(0, settle)) {
            log.acknowledge(n, 1);
            bytes -= 51;
          }
          for (const [buffer, used] of uses) if (used === 0) buffer.fill(0);
          const held = [...uses].reduce((sum, [buffer, used]) => sum + (used > 0 ? buffer.length : 0), 0);
          expect(held).toBeLessThanOrEqual(Math.max(compactAt, 10 * bytes) + 2 * slab.length);
        }
        for (const n of kept) expect(log.get(n)?.id).toBe(String(n).padStart(5, "0"));
        for (const n of kept) {
          const batch = new OutgoingBatch(1);
          log.fill(batch, n, 1, 1e6, 1e6);
          expect(eventsOf(batch.toBuffer()).map(({ id }) => id)).toEqual([String(n).padStart(5, "0")]);
          const size = log.sizeOf(n);
          expect(log.acknowledge(n, 1)).toBe(size);
        }
        expect(told.length).toBe(log.next);
        expect(told.every((who) => who === `${receiptOf(Number(who.slice(2)))}:${who.slice(2)}`)).toBe(true);
        expect([...uses.values()].every((n) => n === 0)).toBe(true);
      }),
      {
        examples: [
          [heldForLong, 0],
          [heldForLong, 2],
        ],
      },
    );
  });
});
