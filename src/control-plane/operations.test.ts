import { describe, expect, it } from "vitest";
import { fakeClock } from "../foundation/clock.fake.ts";
import { type KeptOperations, Operations } from "./operations.ts";
import { codeOf } from "./registry.fake.ts";

const up = { command: "flowctl up", holder: "process 1" };
const scale = { command: "flowctl scale", holder: "process 2" };
const stop = { command: "flowctl stop", holder: "process 3" };

/** Lives of a control plane, one after the other, over the same store. */
function lives(clock = fakeClock(1_000_000)) {
  let kept: KeptOperations | undefined;
  return {
    clock,
    begin: () =>
      new Operations({
        clock,
        onRelease: () => undefined,
        kept,
        onBegin: (next) => {
          kept = JSON.parse(JSON.stringify(next)) as KeptOperations;
        },
      }),
  };
}

describe("operations over a restart of the control plane", () => {
  it("go on counting, also when the clock was set back", () => {
    const { begin, clock } = lives();
    const before = begin().hold(up, false).number;
    clock.jump(-500_000);
    expect(begin().hold(up, false).number).toBe(before + 1);
  });

  it("refuse what was planned before another command of an earlier life", () => {
    const { begin } = lives();
    const first = begin();
    const planned = first.hold(up, false);
    planned.release();
    first.hold(scale, false).release();
    const second = begin();
    expect(codeOf(() => second.hold(up, false, { unchangedSince: planned.number }))).toBe("control/changed-since");
    expect(codeOf(() => second.require(planned.number))).toBe("control/operation-taken-over");
    // Who held it last goes on.
    const { number } = second.hold(up, false);
    const third = begin();
    third.require(number);
    third.hold(up, false, { unchangedSince: number }).release();
  });

  it("go by how long ago a plan was made that no operation was held for", async () => {
    const { begin, clock } = lives();
    begin().hold(scale, false).release();
    await clock.advance(100);
    begin().hold(up, false, { unchangedForMs: 50 }).release();
    await clock.advance(100);
    expect(codeOf(() => begin().hold(up, false, { unchangedForMs: 150 }))).toBe("control/changed-since");
  });
});

describe("what was planned before a command that takes over", () => {
  it("has been taken over from, whether or not it was held, and whatever came after that", () => {
    const { begin } = lives();
    const first = begin();
    const planned = first.hold(up, false);
    planned.release();
    const stopped = first.hold(stop, true);
    stopped.release();
    for (const life of [first, begin()]) {
      life.hold(scale, false).release();
      expect(codeOf(() => life.hold(up, false, { unchangedSince: planned.number }))).toBe(
        "control/operation-taken-over",
      );
      // What was planned after it is only not of the present.
      expect(codeOf(() => life.hold(up, false, { unchangedSince: stopped.number }))).toBe("control/changed-since");
    }
  });
});

describe("instances that are renewed", () => {
  it("are marked anew once nothing is being done to them any more, whatever was still being started", async () => {
    const { begin, clock } = lives();
    const operations = begin();
    operations.hold(up, false);
    const settled = operations.renew(["a-1"]);
    await clock.advance(10);
    operations.startedOne("a-1", clock.now());
    expect(operations.isEnding("a-1")).toBe(false);
    settled();
    expect(operations.isEnding("a-1")).toBe(true);
  });

  it("are not marked anew by a call that was made once more meanwhile, when the new program is there", async () => {
    const { begin, clock } = lives();
    const operations = begin();
    operations.hold(up, false);
    const late = operations.renew(["a-1"]);
    operations.renew(["a-1"])();
    await clock.advance(10);
    operations.startedOne("a-1", clock.now());
    await clock.advance(10);
    late();
    expect(operations.isEnding("a-1")).toBe(false);
    expect([...(operations.current?.renewed ?? [])]).toEqual(["a-1"]);
    operations.renewedOne("a-1");
    late();
    expect([...(operations.current?.renewed ?? [])]).toEqual([]);
  });

  it("are not marked in the operation of another command", () => {
    const { begin } = lives();
    const operations = begin();
    operations.hold(up, false);
    const late = operations.renew(["a-1"]);
    operations.hold(stop, true);
    late();
    expect(operations.isEnding("a-1")).toBe(false);
  });
});
