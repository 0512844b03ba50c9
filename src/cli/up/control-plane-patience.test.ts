import { describe, expect, it } from "vitest";
import type { Change, ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { NEVER_STARTS } from "../../foundation/never-starts.ts";
import { ControlPlanePatience, type Outlook, untilHeard } from "./control-plane-patience.ts";

const never = new AbortController().signal;
const running: ObservedState = { status: "running", startedAt: 0, health: "healthy", restarts: 0 };
const exited: ObservedState = { status: "exited", exitCode: 137, oomKilled: false, finishedAt: 0, restarts: 0 };

/** What is done to a control plane that is as `state` says, look by look for `seconds`, and the last outlook. */
async function looks(
  state: (action: string | undefined) => ObservedState | undefined,
  seconds: number,
  restartHung = true,
): Promise<{ readonly done: readonly string[]; readonly outlook: Outlook | undefined }> {
  const clock = fakeClock();
  const done: string[] = [];
  let last: string | undefined;
  const driver = {
    observe: async () => {
      const now = state(last);
      return now === undefined
        ? []
        : [{ key: "control-plane/1", kind: "control-plane", state: now } as unknown as ObservedResource];
    },
    apply: async ({ action }: Change) => {
      last = action;
      done.push(`${action} after ${Math.round(clock.elapsed() / 1_000)} s`);
    },
  };
  const patience = new ControlPlanePatience({ driver, pipeline: "p", clock, restartHung });
  let outlook: Outlook | undefined;
  while (clock.elapsed() < seconds * 1_000 && outlook !== "ends" && outlook !== "hangs") {
    outlook = await patience.look(never);
    await clock.advance(500);
  }
  return { done, outlook };
}

describe("a control plane that does not answer", () => {
  it("is left to whoever watches it for a moment after its end, and started again then", async () => {
    expect(await looks(() => exited, 4)).toEqual({ done: [], outlook: "awaited" });
    expect(await looks((action) => (action === "start" ? running : exited), 20)).toEqual({
      done: ["start after 5 s"],
      outlook: "awaited",
    });
  });

  it("is given up when it ends however often it is started", async () => {
    const { done, outlook } = await looks(() => exited, 60);
    expect(outlook).toBe("ends");
    expect(done).toHaveLength(3);
  });

  it("is given up at once when it says that it can never start, and is tried again when it said so before", async () => {
    const never = { exitCode: NEVER_STARTS } as const;
    const restarting: ObservedState = { status: "restarting", ...never, restarts: 0 };
    let restarts = 0;
    expect(await looks(() => ({ ...restarting, restarts: restarts++ }), 1)).toEqual({ done: [], outlook: "ends" });
    // Whoever restarts it lets it wait by now, perhaps longer than what was the matter lasted.
    expect(await looks((action) => (action === undefined ? restarting : running), 20)).toEqual({
      done: ["restart after 5 s"],
      outlook: "awaited",
    });
    expect(await looks(() => restarting, 20)).toEqual({ done: ["restart after 5 s"], outlook: "ends" });
    expect(await looks(() => ({ ...exited, ...never }), 60)).toEqual({ done: ["start after 5 s"], outlook: "ends" });
    expect(await looks((action) => (action === "start" ? running : { ...exited, ...never }), 20)).toEqual({
      done: ["start after 5 s"],
      outlook: "awaited",
    });
  });

  it("is restarted once when it runs and is silent, and only where that is wanted", async () => {
    expect(await looks(() => running, 200)).toEqual({ done: ["restart after 30 s"], outlook: "awaited" });
    expect(await looks(() => running, 200, false)).toEqual({ done: [], outlook: "awaited" });
    expect((await looks(() => running, 400)).outlook).toBe("hangs");
  });

  it("is absent where there is none, or one that has never run", async () => {
    expect((await looks(() => undefined, 5)).outlook).toBe("absent");
    expect((await looks(() => ({ status: "created" }), 5)).outlook).toBe("absent");
  });
});

it("what one has to hear is attempted until it does, and not where there is none", async () => {
  const clock = fakeClock();
  const of = (found: readonly ObservedResource[]) => ({
    driver: { observe: async () => found, apply: async () => undefined },
    pipeline: "p",
    clock: { elapsed: clock.elapsed, sleep: (ms: number) => clock.advance(ms) },
    whileAbsent: false,
  });
  let attempts = 0;
  const third = async (): Promise<boolean> => ++attempts === 3;
  const there = { key: "control-plane/1", kind: "control-plane", state: running } as unknown as ObservedResource;
  expect(await untilHeard(third, of([there]), never)).toMatchObject({ outcome: "heard" });
  expect(attempts).toBe(3);
  expect(await untilHeard(async () => false, of([]), never)).toMatchObject({ outcome: "absent" });
});

it("one that cannot be started is given up with the reason, and not before that was tried again", async () => {
  const clock = fakeClock();
  const refused = new FlowctlError({ code: "store/full", kind: "failed", message: "the disk is full" });
  let tried = 0;
  const driver = {
    observe: async () => [
      { key: "control-plane/1", kind: "control-plane", state: exited } as unknown as ObservedResource,
    ],
    apply: async () => {
      tried++;
      throw refused;
    },
  };
  const sleeping = { elapsed: clock.elapsed, sleep: (ms: number) => clock.advance(ms) };
  const options = { driver, pipeline: "p", clock: sleeping, whileAbsent: true };
  expect(await untilHeard(async () => false, options, never)).toEqual({ outcome: "ends", failure: refused });
  expect(tried).toBe(3);
});
