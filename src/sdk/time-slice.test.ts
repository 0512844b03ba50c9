import { describe, expect, it } from "vitest";
import { TimeSlice } from "./time-slice.ts";

/** A slice on a clock that moves by `ms` with each piece of work. Says after which pieces time was up. */
function pausesAfter(pieces: readonly number[]): number[] {
  let now = 0;
  const slice = new TimeSlice(() => now);
  const pauses: number[] = [];
  pieces.forEach((ms, i) => {
    now += ms;
    if (slice.over()) {
      pauses.push(i + 1);
      slice.restart();
    }
  });
  return pauses;
}

describe("a time slice", () => {
  it("is over after each piece that takes longer than the slice", () => {
    expect(pausesAfter([1_000, 1_000, 1_000])).toEqual([1, 2, 3]);
  });

  it("is over within twice the slice while pieces take as long as those before", () => {
    for (const ms of [0.01, 0.3, 1, 3, 5]) {
      const pauses = pausesAfter(Array<number>(5_000).fill(ms));
      expect(pauses.length).toBeGreaterThan(1);
      pauses.forEach((at, i) => {
        expect((at - (pauses[i - 1] ?? 0)) * ms).toBeGreaterThanOrEqual(8);
        expect((at - (pauses[i - 1] ?? 0)) * ms).toBeLessThan(16);
      });
    }
  });

  it("looks at the clock only now and then while pieces are quick", () => {
    let looks = 0;
    const slice = new TimeSlice(() => {
      looks++;
      return 0;
    });
    let isOver = false;
    for (let i = 0; i < 10_000; i++) isOver ||= slice.over();
    expect(isOver).toBe(false);
    expect(looks).toBeLessThan(10_000 / 30);
  });

  it("is full when as much was done as goes into a message, until it begins again", () => {
    const slice = new TimeSlice(() => 0);
    for (let i = 0; i < 2_047; i++) slice.over();
    expect(slice.full).toBe(false);
    slice.over();
    expect(slice.full).toBe(true);
    slice.restart();
    expect(slice.full).toBe(false);
  });

  it("lets everything else run, and begins again", async () => {
    const slice = new TimeSlice(() => 0);
    for (let i = 0; i < 2_100; i++) slice.over();
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    await slice.pause();
    expect(turned).toBe(true);
    expect(slice.full).toBe(false);
  });
});
