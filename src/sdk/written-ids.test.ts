import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { anEvent } from "../components/component-harness.fake.ts";
import type { Event } from "./event.ts";
import { openWrittenIds } from "./written-ids.ts";

const events = (from: number, to: number, upstream = "feed"): Event[] =>
  Array.from({ length: to - from + 1 }, (_, n) => anEvent({ id: `e${from + n}`, upstream }));
const idsOf = (list: readonly Event[]): string[] => list.map(({ id }) => id);

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-written-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the record of what a sink wrote", () => {
  it("names what is fresh of a batch: neither written before, nor twice in it", async () => {
    const written = await openWrittenIds(folder);
    await written.add(events(1, 2));
    expect(idsOf(written.fresh([...events(1, 3), ...events(3, 4)]))).toEqual(["e3", "e4"]);
    await written.close();
    const again = await openWrittenIds(folder);
    expect(again.remembered).toBe(2);
    expect(again.doubtful).toBeUndefined();
    expect(idsOf(again.fresh(events(1, 3)))).toEqual(["e3"]);
    await again.close();
  });

  it("takes one event that comes on two ways, and a dead letter that fails again after a replay, for two", async () => {
    const written = await openWrittenIds(folder);
    await written.add(events(1, 1, "left"));
    expect(written.fresh(events(1, 1, "right"))).toHaveLength(1);
    const letter = (upstream: string): Event =>
      anEvent({ id: "d", upstream: "map", metadata: { "flowctl.dead_letter.upstream": upstream } });
    await written.add([letter("feed")]);
    expect(written.fresh([letter("feed")])).toEqual([]);
    expect(written.fresh([letter("map-replay-1")])).toHaveLength(1);
    await written.close();
  });

  it("remembers at least the last `remember` events, and begins to forget at twice as many", async () => {
    const remember = 1_000;
    let written = await openWrittenIds(folder, { remember });
    for (let n = 1; n <= 5_000; n += 100) await written.add(events(n, n + 99));
    const known = (): number => events(1, 5_000).filter((event) => written.has(event)).length;
    expect(events(4_001, 5_000).every((event) => written.has(event))).toBe(true);
    expect(known()).toBeLessThanOrEqual(2 * remember);
    await written.close();
    written = await openWrittenIds(folder, { remember });
    expect(events(4_001, 5_000).every((event) => written.has(event))).toBe(true);
    expect(known()).toBeLessThanOrEqual(2 * remember);
    await written.close();
  });

  it("has a batch that was begun in doubt at the next start, with its note, until it is settled", async () => {
    for (const isWritten of [false, true]) {
      const begun = await openWrittenIds<{ at: number }>(folder);
      await begun.begin(events(1, 2), { at: 7 });
      await begun.close();
      const after = await openWrittenIds<{ at: number }>(folder);
      expect(after.doubtful).toEqual({ note: { at: 7 } });
      await expect(after.add(events(3, 3))).rejects.toMatchObject({ code: "sdk/written-unsettled" });
      await after.settle(isWritten);
      expect(after.fresh(events(1, 2))).toHaveLength(isWritten ? 0 : 2);
      await after.close();
      const later = await openWrittenIds<{ at: number }>(folder);
      expect(later.doubtful === undefined).toBe(!isWritten);
      await later.settle(isWritten);
      await later.close();
    }
  });

  it("forgets what was begun and taken back", async () => {
    const written = await openWrittenIds<string>(folder);
    await written.begin(events(1, 1), "first");
    await written.begin(events(2, 2), "second");
    await written.undo();
    expect(idsOf(written.fresh(events(1, 2)))).toEqual(["e2"]);
    await written.close();
    const again = await openWrittenIds<string>(folder);
    expect(again.doubtful).toEqual({ note: "first" });
    await again.close();
  });

  it("keeps records of several names apart", async () => {
    const one = await openWrittenIds(folder, { name: "one" });
    const two = await openWrittenIds(folder, { name: "two" });
    await one.add(events(1, 1));
    expect(two.has(events(1, 1)[0]!)).toBe(false);
    await Promise.all([one.close(), two.close()]);
  });
});
