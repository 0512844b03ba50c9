import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fakeClock } from "../foundation/clock.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { silentLogger } from "../foundation/logger.ts";
import { Checkpointer } from "./checkpointer.ts";

function setUp(
  options: {
    away?: () => boolean;
    refuse?: () => FlowctlError | undefined;
    /** Left out: notes it in `told`; undefined: nobody outside is told. */
    committed?: ((position: unknown) => Promise<void>) | undefined;
  } = {},
) {
  const clock = fakeClock();
  const stored: number[] = [];
  const states: string[] = [];
  const told: unknown[] = [];
  const failures: unknown[] = [];
  const checkpointer = new Checkpointer({
    clock,
    log: silentLogger,
    async store(state, position) {
      if (options.away?.())
        throw new FlowctlError({ code: "client/unreachable", kind: "unavailable", message: "away" });
      const refusal = options.refuse?.();
      if (refusal !== undefined) throw refusal;
      if (position !== undefined) stored.push(JSON.parse(Buffer.from(position).toString()) as number);
      else states.push(state);
    },
    committed:
      "committed" in options
        ? options.committed
        : async (position) => {
            told.push(position);
          },
    onFailure: (error) => failures.push(error),
  });
  return { clock, stored, states, told, failures, checkpointer };
}

describe("a checkpointer", () => {
  it("moves over the contiguous acknowledged prefix only, never back, and tells the outside after it is stored", async () => {
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8], { minLength: 8 }), async (order) => {
        const { clock, stored, told, checkpointer } = setUp();
        const tags = Array.from({ length: 8 }, (_, i) => checkpointer.track(i + 1));
        const done = new Set<number>();
        for (const n of order) {
          checkpointer.settle(tags[n - 1]!);
          done.add(n);
          await clock.advance(200);
          let prefix = 0;
          while (done.has(prefix + 1)) prefix++;
          expect(stored.at(-1) ?? 0).toBe(prefix);
          expect(told).toEqual(stored);
        }
        expect(stored).toEqual([...stored].sort((a, b) => a - b));
      }),
      { numRuns: 50 },
    );
  });

  it("moves over runs of what is acknowledged in whatever order they come, while more is emitted", async () => {
    const run = fc.record({ length: fc.integer({ min: 1, max: 700 }), rank: fc.nat(1_000), emitBefore: fc.nat(9) });
    await fc.assert(
      fc.asyncProperty(fc.array(run, { minLength: 1, maxLength: 12 }), async (runs) => {
        const { clock, stored, checkpointer } = setUp();
        let first = 0;
        const placed = runs.map(({ length, rank, emitBefore }) => {
          const at = { first, length, rank, emitBefore };
          first += length;
          return at;
        });
        for (let n = 0; n < first; n++) expect(checkpointer.track(n + 1)).toBe(n);
        let emitted = first;
        const done = new Set<number>();
        for (const { first: from, length, emitBefore } of placed.sort((a, b) => a.rank - b.rank)) {
          for (let i = 0; i < emitBefore; i++) expect(checkpointer.track(++emitted)).toBe(emitted - 1);
          checkpointer.settleRun(from, length);
          for (let tag = from; tag < from + length; tag++) done.add(tag);
          await clock.advance(200);
          let prefix = 0;
          while (done.has(prefix)) prefix++;
          expect(stored.at(-1) ?? 0).toBe(prefix);
        }
        expect(stored.at(-1)).toBe(first);
      }),
      { numRuns: 50 },
    );
  });

  it("keeps the newest position while the control plane is away, and stores it when it is back", async () => {
    let away = true;
    const { clock, stored, told, checkpointer } = setUp({ away: () => away });
    for (let n = 1; n <= 5; n++) checkpointer.settle(checkpointer.track(n));
    await clock.advance(10_000);
    expect(stored).toEqual([]);
    expect(told).toEqual([]);
    away = false;
    await clock.advance(2_000);
    expect(stored).toEqual([5]);
    expect(told).toEqual([5]);
  });

  it("flushes what is acknowledged, and gives up when the signal fires", async () => {
    let away = false;
    const { clock, stored, checkpointer } = setUp({ away: () => away });
    checkpointer.settle(checkpointer.track(1));
    const flushed = checkpointer.flush(new AbortController().signal);
    await clock.advance(500);
    expect(await flushed).toBe(true);
    expect(stored).toEqual([1]);
    away = true;
    checkpointer.settle(checkpointer.track(2));
    const stop = new AbortController();
    const givenUp = checkpointer.flush(stop.signal);
    await clock.advance(500);
    stop.abort();
    await clock.advance(5_000);
    expect(await givenUp).toBe(false);
    expect(stored).toEqual([1]);
  });

  it.each([
    ["a second, of few events", 1_000, 1, undefined],
    ["100 ms, of many events", 100, 1_000, undefined],
    ["100 ms, of few events that somebody outside waits for", 100, 1, async () => undefined],
  ] as const)(
    "stores at most once in %s, however slowly the acknowledgements come, but at once what is flushed",
    async (_, interval, events, committed) => {
      const { clock, stored, checkpointer } = setUp({ committed });
      let last = 0;
      const settle = (count: number): void => {
        for (let n = 0; n < count; n++) checkpointer.settle(checkpointer.track(++last));
      };
      for (let n = 1; n <= 50; n++) {
        settle(events);
        await clock.advance(interval / 10);
      }
      expect(stored.length).toBeGreaterThanOrEqual(4);
      expect(stored.length).toBeLessThanOrEqual(6);
      await clock.advance(interval);
      expect(stored.at(-1)).toBe(last);
      await clock.advance(2_000);
      // The first after a pause is stored at once, the second not, unless somebody waits for it.
      settle(1);
      await clock.advance(1);
      settle(1);
      await clock.advance(1);
      expect(stored.at(-1)).toBe(last - 1);
      const flushed = checkpointer.flush(new AbortController().signal);
      await clock.advance(1);
      expect(await flushed).toBe(true);
      expect(stored.at(-1)).toBe(last);
    },
  );

  it("does not wait out a pause that few events had begun once there are many", async () => {
    const { clock, stored, checkpointer } = setUp({ committed: undefined });
    for (let n = 1; n <= 2; n++) {
      checkpointer.settle(checkpointer.track(n));
      await clock.advance(50);
    }
    expect(stored).toEqual([1]);
    for (let n = 3; n <= 1_500; n++) checkpointer.settle(checkpointer.track(n));
    await clock.advance(100);
    expect(stored).toEqual([1, 1_500]);
  });

  it("reports that telling the outside failed", async () => {
    const { clock, failures, checkpointer } = setUp({
      committed: async () => {
        throw new Error("the broker says no");
      },
    });
    checkpointer.settle(checkpointer.track(1));
    await clock.advance(500);
    expect(failures).toHaveLength(1);
    expect(await checkpointer.flush(new AbortController().signal)).toBe(false);
  });

  it.each([
    ["registry/checkpoint-too-large", "invalid"],
    ["registry/not-owner", "conflict"],
  ] as const)("ends the component at %s instead of trying for ever", async (code, kind) => {
    let attempts = 0;
    const { clock, stored, failures, checkpointer } = setUp({
      refuse: () => {
        attempts++;
        return new FlowctlError({ code, kind, message: "never" });
      },
    });
    checkpointer.settle(checkpointer.track(1));
    await clock.advance(60_000);
    checkpointer.settle(checkpointer.track(2));
    await clock.advance(60_000);
    expect(attempts).toBe(1);
    expect(failures).toMatchObject([{ code }]);
    expect(stored).toEqual([]);
    expect(await checkpointer.flush(new AbortController().signal)).toBe(false);
  });

  it("says that a partition has ended after its last position is stored, for as long as that takes", async () => {
    let away = true;
    const { clock, stored, states, checkpointer } = setUp({ away: () => away });
    const tag = checkpointer.track(1);
    let idle = false;
    const waiting = checkpointer.idle().then(() => {
      idle = true;
    });
    await clock.advance(100);
    expect(idle).toBe(false);
    checkpointer.settle(tag);
    await waiting;
    const ended = checkpointer.end("finished", new AbortController().signal);
    await clock.advance(10_000);
    expect([stored, states]).toEqual([[], []]);
    away = false;
    await clock.advance(5_000);
    expect(await ended).toBe(true);
    expect([stored, states]).toEqual([[1], ["finished"]]);
  });
});
