import { describe, expect, it } from "vitest";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { anEvent, runProcessor } from "../component-harness.fake.ts";
import { createThrottle } from "./throttle.ts";

const events = Array.from({ length: 40 }, (_, n) => anEvent({ id: `e${n}` }));

/** When each of the events passed, in milliseconds, with pauses of so long before some of them. */
async function times(
  config: Record<string, unknown>,
  pauses: Readonly<Record<string, number>> = {},
): Promise<number[]> {
  const clock = fakeClock();
  const definition = createThrottle(clock);
  const passed: number[] = [];
  let done = false;
  const timed = events.map((event) => ({ ...event }));
  const running = (async () => {
    if (definition.type !== "processor") throw new Error("not a processor");
    const handlers = await definition.definition.open({
      config: definition.definition.config!.parse(config),
      signal: new AbortController().signal,
    } as never);
    for (const event of timed) {
      const pause = pauses[event.id];
      if (pause !== undefined) await clock.sleep(pause);
      await handlers.process(event, async () => void passed.push(clock.elapsed()));
    }
    done = true;
  })();
  for (let step = 0; step < 10_000 && !done; step++) await clock.advance(10);
  await running;
  return passed;
}

describe("throttle", () => {
  it.each([1, 10, 100])("lets %d events a second pass, evenly apart", async (rate) => {
    const passed = await times({ rate });
    expect(passed).toEqual(events.map((_, n) => (n * 1000) / rate));
  });

  it("lets a burst pass at once, at the beginning and after a pause, and never more", async () => {
    const passed = await times({ rate: 10, burst: 3 }, { e10: 10_000 });
    expect(passed.slice(0, 5)).toEqual([0, 0, 0, 100, 200]);
    const [again] = [passed[10]!];
    expect(passed.slice(10, 15)).toEqual([again, again, again, again + 100, again + 200]);
    for (const from of passed) {
      expect(passed.filter((time) => time >= from && time < from + 1000).length).toBeLessThanOrEqual(13);
    }
  });

  it("saves up no more than a part of a burst in a short pause", async () => {
    const passed = await times({ rate: 10, burst: 3 }, { e5: 100 });
    expect(passed.slice(0, 8)).toEqual([0, 0, 0, 100, 200, 300, 400, 500]);
  });

  it("passes the very events on, in order, and gives up the one that waits when it is to stop", async () => {
    const stop = new AbortController();
    const clock = fakeClock();
    const running = runProcessor(createThrottle(clock), { config: { rate: 1 }, signal: stop.signal }, events);
    await clock.advance(0);
    expect(clock.sleeping).toBe(1);
    stop.abort();
    await expect(running).rejects.toMatchObject({ kind: "cancelled" });
    expect(clock.sleeping).toBe(0);
    const all = await runProcessor(createThrottle(fakeClock()), { config: { rate: 1e9, burst: 100 } }, events);
    expect(all.every((event, n) => event === events[n])).toBe(true);
    expect(all).toHaveLength(40);
  });
});
