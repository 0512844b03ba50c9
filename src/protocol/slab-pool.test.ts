import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventEncoder } from "./event-encoder.ts";
import type { EventView } from "./event-view.ts";
import { SLAB_BYTES, SlabPool } from "./slab-pool.ts";
import { OutgoingBatch } from "./stream-codec.ts";

function encode(encoder: EventEncoder, n: number, bytes: number): EventView {
  return encoder.encode({
    id: `n-${n}`,
    type: "t",
    payload: String(n % 10).repeat(bytes),
    metadata: undefined,
    timestamp: undefined,
    sourceComponentId: "s",
    contentType: "",
  });
}

describe("a slab pool", () => {
  it("never gives away memory of which something is needed, whatever is retained and released in which order", () => {
    const step = fc.record({
      bytes: fc.oneof(fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: SLAB_BYTES, max: 2 * SLAB_BYTES })),
      keep: fc.boolean(),
      inBatch: fc.boolean(),
      release: fc.nat(30),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
        const pool = new SlabPool();
        const encoder = new EventEncoder(pool);
        const needed: { view: EventView; bytes: number; n: number; letGo: () => void }[] = [];
        steps.forEach(({ bytes, keep, inBatch, release }, n) => {
          const view = encode(encoder, n, bytes);
          if (keep) pool.retain(view.buffer);
          const batch = new OutgoingBatch(1, pool);
          if (inBatch) batch.add(view.buffer, view.start, view.end);
          if (keep) needed.push({ view, bytes, n, letGo: () => pool.release(view.buffer) });
          if (inBatch) needed.push({ view, bytes, n, letGo: () => (n % 2 === 0 ? batch.drop() : batch.toBuffer()) });
          for (const { view: kept, bytes: size, n: number } of needed) {
            expect(kept.id).toBe(`n-${number}`);
            expect(kept.text()).toBe(String(number % 10).repeat(size));
          }
          for (const { letGo } of needed.splice(release % (needed.length + 1), 1)) letGo();
        });
      }),
    );
  });

  it("uses memory again once everything in it is released, and not while it is written", () => {
    const pool = new SlabPool();
    const slab = pool.take(10);
    pool.retain(slab);
    pool.release(slab);
    expect(pool.take(10)).not.toBe(slab);
    pool.retain(slab);
    pool.written(slab);
    expect(pool.take(10)).not.toBe(slab);
    pool.release(slab);
    expect(pool.take(10)).toBe(slab);
  });

  it("gives memory of a size again for what needs that size, up to 2 MiB", () => {
    const pool = new SlabPool();
    const largest = 2 * 1024 * 1024;
    for (const [bytes, other] of [
      [SLAB_BYTES + 1, SLAB_BYTES],
      [largest, 1],
    ] as const) {
      const slab = pool.take(bytes);
      expect(slab.length).toBeGreaterThanOrEqual(bytes);
      pool.written(slab);
      // A failed comparison of buffers would print them.
      expect(pool.take(other) === slab).toBe(false);
      expect(pool.take(bytes) === slab).toBe(true);
    }
    const large = pool.take(largest + 1);
    pool.written(large);
    expect(pool.take(largest + 1) === large).toBe(false);
  });

  it("leaves memory alone that is not its own", () => {
    const pool = new SlabPool();
    const other = Buffer.alloc(SLAB_BYTES);
    pool.retain(other);
    pool.release(other);
    expect(pool.take(1)).not.toBe(other);
  });

  it("keeps no more than 24 MiB for what is yet to come", () => {
    const pool = new SlabPool();
    const slabs = Array.from({ length: 300 }, () => pool.take(1));
    for (const slab of slabs) pool.written(slab);
    const again = slabs.filter(() => slabs.includes(pool.take(1)));
    expect(again.length * SLAB_BYTES).toBe(24 * 1024 * 1024);
  });

  it("keeps what is being written to itself when there is no memory for an event", () => {
    const pool = new SlabPool();
    const encoder = new EventEncoder(pool);
    encode(encoder, 1, 10);
    const huge = Object.defineProperty(new Uint8Array(0), "length", { value: Number.MAX_SAFE_INTEGER });
    const fields = { id: "n-2", type: "t", payload: huge, metadata: undefined, timestamp: undefined };
    expect(() => encoder.encode({ ...fields, sourceComponentId: "s", contentType: "" })).toThrowError(RangeError);
    const view = encode(encoder, 3, 10);
    pool.retain(view.buffer);
    encode(encoder, 4, SLAB_BYTES - 100);
    encode(encoder, 5, SLAB_BYTES - 100);
    expect(view.id).toBe("n-3");
  });
});
