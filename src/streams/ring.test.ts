import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Ring } from "./ring.ts";

describe("a ring", () => {
  it("is a queue: what is dropped together goes in the order in which it came, however often the ring turns", () => {
    const step = fc.record({ push: fc.nat(9), drop: fc.nat(9), shift: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ring = new Ring<{ readonly n: number }>(2);
        const queue: { readonly n: number }[] = [];
        let n = 0;
        for (const { push, drop, shift } of steps) {
          for (let i = 0; i < push; i++) {
            const element = { n: n++ };
            ring.push(element);
            queue.push(element);
          }
          const count = Math.min(drop, queue.length);
          if (count > 0) expect(ring.drop(count)).toBe(queue.splice(0, count).at(-1));
          if (shift && queue.length > 0) expect(ring.shift()).toBe(queue.shift());
          expect(ring.length).toBe(queue.length);
          expect(queue.map((_, i) => ring.at(i))).toEqual(queue);
        }
      }),
    );
  });

  it("drops no more than there is, and not nothing", () => {
    const ring = new Ring<number>(2);
    expect(() => ring.drop(1)).toThrow(RangeError);
    expect(() => ring.shift()).toThrow(RangeError);
    ring.push(1);
    expect(() => ring.drop(0)).toThrow(RangeError);
    expect(() => ring.drop(2)).toThrow(RangeError);
    expect(ring.drop(1)).toBe(1);
  });

  it("keeps nothing of what was dropped", () => {
    const ring = new Ring<object>(4);
    for (let i = 0; i < 4; i++) ring.push({});
    ring.drop(3);
    expect([0, 1, 2, 3].map((i) => ring.at(i)).filter((element) => element !== undefined).length).toBe(1);
  });
});
