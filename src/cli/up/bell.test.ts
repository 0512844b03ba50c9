import { describe, expect, it } from "vitest";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { Bell } from "./bell.ts";

describe("a bell", () => {
  const never = new AbortController().signal;

  it("is heard at once, also when it was rung since whoever waits looked, and else after a while", async () => {
    const clock = fakeClock(0);
    const bell = new Bell();
    const seen = bell.rings;
    bell.ring();
    await bell.heard(seen, clock, 1_000, never);
    const waiting = bell.heard(bell.rings, clock, 1_000, never);
    bell.ring();
    await waiting;
    const patient = bell.heard(bell.rings, clock, 1_000, never);
    await clock.advance(1_000);
    await patient;
    const gone = new AbortController();
    const impatient = bell.heard(bell.rings, clock, 1_000, gone.signal);
    gone.abort();
    await impatient;
  });

  it("keeps nothing of those who waited in vain", async () => {
    const clock = fakeClock(0);
    const bell = new Bell();
    for (let look = 0; look < 100; look++) {
      const waiting = bell.heard(bell.rings, clock, 1_000, never);
      expect(bell.waiting).toBe(1);
      await clock.advance(1_000);
      await waiting;
    }
    expect(bell.waiting).toBe(0);
  });
});
