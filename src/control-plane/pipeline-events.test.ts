import { describe, expect, it } from "vitest";
import type { PipelineEvent } from "../protocol/records.ts";
import { PipelineEvents } from "./pipeline-events.ts";

function log(capacity: number, kept: readonly PipelineEvent[] = []) {
  const appended: [number, readonly number[]][] = [];
  const events = new PipelineEvents({ capacity, kept, onAppend: (event, out) => appended.push([event.sequence, out]) });
  return { events, appended, add: (message: string) => events.append({ type: "t", message }, 5) };
}

describe("the event log", () => {
  it("keeps the newest, numbers without gaps, and says which one had to go", () => {
    const { events, add, appended } = log(2);
    for (const message of ["a", "b", "c"]) add(message);
    expect(events.after(0).map(({ sequence, message }) => [sequence, message])).toEqual([
      [2, "b"],
      [3, "c"],
    ]);
    expect(appended).toEqual([
      [1, []],
      [2, []],
      [3, [1]],
    ]);
    expect(events.after(2).map(({ sequence }) => sequence)).toEqual([3]);
    expect(events.after(3)).toEqual([]);
    expect(events.after(99)).toEqual([]);
  });

  it("keeps fewer where they say much, and the newest whatever it says", () => {
    const evicted: (readonly number[])[] = [];
    const onAppend = (_event: PipelineEvent, out: readonly number[]): void => void evicted.push(out);
    const events = new PipelineEvents({ capacity: 10, maxCharacters: 100, kept: [], onAppend });
    for (const length of [30, 30, 30, 50, 500, 20]) events.append({ type: "t", message: "x".repeat(length) }, 5);
    expect(evicted).toEqual([[], [], [], [1, 2], [3, 4], [5]]);
    expect(events.after(0).map(({ sequence }) => sequence)).toEqual([6]);
  });

  it("goes on with the numbers of an earlier process", () => {
    const first = log(10);
    first.add("a");
    const second = log(10, first.events.after(0));
    expect(second.add("b").sequence).toBe(2);
    expect(second.events.after(0).map(({ message }) => message)).toEqual(["a", "b"]);
    expect(
      log(1, second.events.after(0))
        .events.after(0)
        .map(({ message }) => message),
    ).toEqual(["b"]);
  });

  it("gives a follower what is kept and then what comes, and ends by the signal", async () => {
    const { events, add } = log(10);
    add("a");
    const stop = new AbortController();
    const following = events.follow(0, stop.signal);
    expect((await following.next()).value?.message).toBe("a");
    const next = following.next();
    add("b");
    expect((await next).value?.message).toBe("b");
    const last = following.next();
    stop.abort();
    await expect(last).rejects.toMatchObject({ kind: "cancelled" });
  });

  it("lets a slow follower miss the oldest instead of holding everything for it", async () => {
    const { events, add } = log(2);
    const following = events.follow(0, new AbortController().signal);
    add("a");
    expect((await following.next()).value?.sequence).toBe(1);
    for (const message of ["b", "c", "d"]) add(message);
    expect((await following.next()).value?.sequence).toBe(3);
    await following.return(undefined);
  });
});
