import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Decided, decide, type Exit, type Happening, type PolicyLimits, type Watched, watch } from "./policy.ts";

const limits: PolicyLimits = { maxRestarts: 5, illForMs: 30_000, random: () => 0.5 };

/** One instance, its supervisor, and time. */
function life(given: Partial<PolicyLimits> = {}) {
  let now = 1_000_000;
  let watched: Watched = watch(now);
  const tell = (happening: Happening): Decided["decision"] => {
    const { next, decision } = decide(watched, happening, { ...limits, ...given }, now);
    watched = next;
    return decision;
  };
  return {
    get phase() {
      return watched.phase;
    },
    get now() {
      return now;
    },
    pass(ms: number) {
      now += ms;
    },
    tell,
    started: (at = now) => tell({ type: "started", at }),
    crash: (rest: Partial<Exit> = {}) =>
      tell({ type: "exited", at: now, how: "exited with code 1", unexpected: true, willRestart: false, ...rest }),
    healthy: (since = now) => tell({ type: "state", state: "healthy", hung: false, since, reason: "" }),
    ill: (since: number, hung = false) => tell({ type: "state", state: "ill", hung, since, reason: "why" }),
    look: () => tell({ type: "state", state: "other", hung: false, since: now, reason: "" }),
    acted: (error?: string, away = false) => tell({ type: "acted", ...(error === undefined ? {} : { error, away }) }),
    /** Time until the supervisor acts. */
    untilActs(): number {
      const from = now;
      for (; now < from + 120_000; now += 10) {
        const decision = this.look();
        if (decision !== undefined) return now - from;
      }
      return -1;
    },
  };
}

describe("an instance that ends unexpectedly", () => {
  it("is started again, later each time, and given up after the allowed number in a row", () => {
    const it = life();
    const delays: number[] = [];
    for (let crash = 1; crash <= 5; crash++) {
      expect(it.crash()).toBeUndefined();
      delays.push(it.untilActs());
      it.started();
      it.acted();
    }
    expect(delays).toEqual([...delays].sort((a, b) => a - b));
    expect(delays[0]).toBeLessThan(500);
    expect(it.crash()).toEqual({ type: "give-up", reason: "exited with code 1; gave up after 6 failures in a row" });
    it.acted();
    expect(it.phase).toBe("failed");
    expect(it.untilActs()).toBe(-1);
  });

  it("begins a new row after ten seconds of health", () => {
    const it = life({ maxRestarts: 1 });
    for (let round = 0; round < 10; round++) {
      expect(it.crash()).toBeUndefined();
      it.untilActs();
      it.started();
      it.acted();
      it.healthy();
      it.pass(10_000);
      it.healthy();
    }
    it.crash();
    it.untilActs();
    it.started();
    it.acted();
    it.healthy();
    it.pass(9_000);
    expect(it.crash()).toMatchObject({ type: "give-up" });
  });

  it("begins a new row after ten seconds of health also when it was seen to be ill before it ended", () => {
    const it = life({ maxRestarts: 1 });
    for (let round = 0; round < 10; round++) {
      expect(it.crash()).toBeUndefined();
      it.untilActs();
      it.started();
      it.acted();
      it.healthy();
      it.pass(10_000);
      it.healthy();
      // Its last word, that it has failed, is heard before it has exited.
      it.ill(it.now);
      it.pass(10);
      it.look();
    }
    expect(it.crash()).toBeUndefined();
  });

  it("is given up at once when it must not be restarted", () => {
    expect(life({ maxRestarts: 0 }).crash()).toEqual({ type: "give-up", reason: "exited with code 1" });
  });

  it("is left to a driver that restarts it by itself, but not for ever", () => {
    const it = life();
    for (let crash = 1; crash <= 5; crash++) {
      expect(it.crash({ willRestart: true })).toBeUndefined();
      expect(it.phase).toBe("running");
      it.pass(100);
      it.started();
    }
    expect(it.crash({ willRestart: true })).toMatchObject({ type: "give-up" });
    // It may come up once more while it is being stopped.
    it.started();
    it.crash({ willRestart: true });
    expect(it.phase).toBe("giving-up");
    it.acted();
    expect(it.phase).toBe("failed");
  });

  it("while the driver still answers for its start counts once it has answered", () => {
    const it = life();
    it.crash();
    it.untilActs();
    it.started();
    it.crash();
    expect(it.phase).toBe("acting");
    it.acted();
    expect(it.phase).toBe("waiting");
  });
});

describe("an instance that ends as expected", () => {
  it("is left alone, until somebody starts it anew", () => {
    const it = life();
    it.crash({ unexpected: false });
    expect(it.phase).toBe("ended");
    it.started(it.now - 1);
    expect(it.phase).toBe("ended");
    it.pass(1);
    it.started();
    expect(it.phase).toBe("running");
  });
});

describe("an instance that is ill", () => {
  it("is restarted at once when it hangs, and after its time when it only says that it is ill", () => {
    const hung = life();
    hung.pass(60_000);
    hung.ill(hung.now, true);
    expect(hung.phase).toBe("waiting");
    const ill = life();
    ill.pass(1000);
    const since = ill.now;
    ill.pass(29_999);
    ill.ill(since);
    expect(ill.phase).toBe("running");
    ill.pass(1);
    ill.ill(since);
    expect(ill.phase).toBe("waiting");
    for (let left = 60; left > 0 && ill.phase === "waiting"; left--) {
      ill.pass(10);
      const decision = ill.ill(since);
      if (decision !== undefined) expect(decision).toEqual({ type: "apply", action: "restart", cause: "why" });
    }
    expect(ill.phase).toBe("acting");
  });

  it("from before a restart gives the new run its time, and no more than that", () => {
    const it = life();
    const since = it.now + 1;
    it.pass(60_000);
    it.ill(since, true);
    it.untilActs();
    it.crash();
    it.started();
    it.acted();
    it.pass(29_000);
    it.ill(since, true);
    expect(it.phase).toBe("running");
    it.pass(2_000);
    it.ill(since, true);
    expect(it.phase).toBe("waiting");
  });

  it("and is restarted does not count the end of the old run as a crash of the new one", () => {
    const it = life({ maxRestarts: 1 });
    const since = it.now;
    it.pass(60_000);
    it.ill(since, true);
    it.untilActs();
    it.crash();
    expect(it.acted()).toBeUndefined();
    it.started();
    expect(it.phase).toBe("running");
  });

  it("and the end of an earlier run that is told late says nothing about this one", () => {
    const it = life({ maxRestarts: 0 });
    it.pass(1000);
    it.started();
    expect(it.crash({ at: it.now - 500 })).toBeUndefined();
    expect(it.phase).toBe("running");
  });
});

describe("a driver that cannot do what it is asked", () => {
  it("is asked again, and the instance given up when it never can", () => {
    const it = life();
    it.crash();
    for (let failure = 1; failure < 5; failure++) {
      it.untilActs();
      expect(it.acted("no such image")).toBeUndefined();
    }
    it.untilActs();
    expect(it.acted("no such image")).toMatchObject({
      type: "give-up",
      reason: expect.stringContaining("no such image"),
    });
  });
});

describe("a driver that is away", () => {
  it("is asked again until it is back, and the instance has not failed by that", () => {
    const it = life({ maxRestarts: 1 });
    it.crash();
    for (let attempt = 1; attempt < 10; attempt++) {
      expect(it.untilActs()).toBeGreaterThan(-1);
      expect(it.acted("nobody answers", true)).toBeUndefined();
      expect(it.phase).toBe("waiting");
    }
    it.untilActs();
    it.started();
    expect(it.acted()).toBeUndefined();
    expect(it.phase).toBe("running");
  });

  it("is not asked about an instance that is healthy meanwhile", () => {
    const it = life();
    it.pass(1_000);
    it.ill(it.now, true);
    it.untilActs();
    it.acted("nobody answers", true);
    it.pass(1_000);
    it.healthy();
    expect(it.phase).toBe("running");
    expect(it.untilActs()).toBe(-1);
  });
});

describe("whatever happens in whatever order", () => {
  const happening: fc.Arbitrary<Happening> = fc.oneof(
    fc.record({ type: fc.constant("started" as const), at: fc.integer({ min: 0, max: 100_000 }) }),
    fc.record({
      type: fc.constant("exited" as const),
      at: fc.integer({ min: 0, max: 100_000 }),
      how: fc.constant("how"),
      unexpected: fc.boolean(),
      willRestart: fc.boolean(),
    }),
    fc.record({
      type: fc.constant("state" as const),
      state: fc.constantFrom("healthy" as const, "ill" as const, "other" as const),
      hung: fc.boolean(),
      since: fc.integer({ min: 0, max: 100_000 }),
      reason: fc.constant("why"),
    }),
    fc.constant({ type: "acted" as const }),
    fc.constant({ type: "acted" as const, error: "no" }),
    fc.constant({ type: "acted" as const, error: "no", away: true }),
  );

  it("the driver is asked for one thing at a time, and nothing is asked after an instance was given up", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(happening, fc.integer({ min: 0, max: 5000 })), { maxLength: 80 }), (story) => {
        let watched = watch(0);
        let now = 0;
        let asked = false;
        for (const [what, later] of story) {
          now += later;
          // The driver answers only what it was asked.
          if (what.type === "acted" && !asked) continue;
          const before = watched;
          const { next, decision } = decide(watched, what, limits, now);
          watched = next;
          if (what.type === "acted") asked = false;
          // Only what it was asked is taken back, and then it answers no more.
          if (decision !== undefined) {
            expect(asked).toBe(decision.type === "withdraw");
            asked = decision.type !== "withdraw";
          }
          if (before.phase === "failed") expect(decision).toBeUndefined();
          if (before.phase === "failed" && what.type !== "started") expect(next).toEqual(before);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a restart of what is ill", () => {
  it("is withdrawn when that gets well before the driver has done anything, and not once a new run has begun", () => {
    const it = life();
    it.ill(it.now);
    it.pass(40_000);
    it.ill(it.now - 40_000);
    it.pass(1_000);
    expect(it.look()).toMatchObject({ type: "apply", action: "restart" });
    expect(it.healthy(it.now - 10_000)).toBeUndefined();
    expect(it.healthy()).toEqual({ type: "withdraw" });
    expect(it.phase).toBe("running");
    expect(it.acted("the engine is away", true)).toBeUndefined();
    expect(it.phase).toBe("running");

    it.pass(1_000);
    it.ill(it.now);
    it.pass(40_000);
    it.ill(it.now - 40_000);
    it.pass(1_000);
    expect(it.look()).toMatchObject({ type: "apply", action: "restart" });
    it.started();
    expect(it.healthy()).toBeUndefined();
    expect(it.phase).toBe("acting");
  });
});
