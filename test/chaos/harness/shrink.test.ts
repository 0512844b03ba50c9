import { describe, expect, it } from "vitest";
import { shrink } from "./shrink.ts";

describe("shrinking", () => {
  const steps = Array.from({ length: 20 }, (_, index) => index);

  it.each([[[3]], [[0, 19]], [[4, 5, 12]], [[]]])("finds the steps %j, which fail together", async (needed) => {
    const fails = async (candidate: readonly number[]): Promise<boolean> =>
      needed.every((it) => candidate.includes(it));
    expect(await shrink(steps, fails, 200)).toEqual(needed);
  });

  it("ends after so many replays, with what has failed", async () => {
    let tries = 0;
    const fails = async (candidate: readonly number[]): Promise<boolean> => {
      tries++;
      return candidate.includes(3);
    };
    const small = await shrink(steps, fails, 2);
    expect(tries).toBe(2);
    expect(small).toContain(3);
    expect(small.length).toBeLessThan(steps.length);
  });

  it("keeps everything when nothing less fails", async () => {
    expect(await shrink(steps, async () => false, 100)).toEqual(steps);
  });
});
