import { beforeEach, describe, expect, it } from "vitest";
import type { FakeClock } from "../foundation/clock.fake.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import type { IncarnationReference } from "../protocol/registry-codec.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let kept: Kept;
let clock: FakeClock;
let registry: Registry;

const all = ["source", "processor", "sink"].map((id) => incarnation(id));
const bye = (who: IncarnationReference, reason: "completed" | "stopped" | "failed", eventsIn = 0) =>
  registry.deregister({ ...who, reason, message: "", metrics: { ...noMetrics, eventsIn } });
const stateOf = (id: string) => registry.component(id).state;
const seen = (id: string, observation: "started" | "exited" | "removed", exitCode = 0) =>
  registry.report({ componentId: id, instanceId: `${id}-1`, observation, exitCode }, clock.now());

beforeEach(() => {
  kept = new Kept();
  clock = kept.clock;
  registry = kept.open();
  registry.apply(linearPipeline());
});

describe("an instance that is to be stopped", () => {
  it("is stopping at once, whatever registers or starts after that, and after a restart of the control plane", async () => {
    registry.register(registration(incarnation("source")));
    expect(registry.setDesired({ stopped: ["source-1", "nobody-1"] }).changed).toEqual(["source-1"]);
    expect(stateOf("source")).toBe("stopping");
    registry.register(registration(incarnation("source", 1, "2")));
    expect(stateOf("source")).toBe("stopping");
    await clock.advance(10);
    seen("source", "started");
    expect(stateOf("source")).toBe("stopping");
    registry = kept.open();
    expect(registry.desire("source", "source-1")).toBe("stopped");
    expect(registry.component("source").instances).toMatchObject([{ state: "stopping", desiredStopped: true }]);
    registry.register(registration(incarnation("source", 1, "3")));
    expect(stateOf("source")).toBe("stopping");
  });

  it("that was never seen is not waited for: a pipeline of such alone is stopping", () => {
    registry.setDesired({ stopped: "all" });
    expect(registry.pipeline().state).toBe("stopping");
    seen("source", "removed");
    expect(registry.pipeline().state).toBe("stopping");
  });

  it("whose stop failed goes on as what it is once it is to run again", () => {
    registry.register(registration(incarnation("sink")));
    registry.setDesired({ stopped: ["sink-1"] });
    expect(registry.setDesired({ started: ["sink-1"] }).changed).toEqual(["sink-1"]);
    expect(stateOf("sink")).toBe("healthy");
    expect(registry.isToEnd("sink", "sink-1")).toBe(false);
  });

  it("and has completed stays completed, also when all are to run again", () => {
    for (const who of all) registry.register(registration(who));
    for (const who of all) bye(who, "completed");
    registry.setDesired({ stopped: "all" });
    expect(registry.pipeline().state).toBe("completed");
    registry.setDesired({ running: all.map(({ instanceId }) => instanceId) });
    expect(registry.pipeline().state).toBe("completed");
  });
});

describe("what is about to be started again", () => {
  beforeEach(() => {
    for (const who of all) registry.register(registration(who));
    for (const who of all) bye(who, "completed");
  });

  it("makes a completed pipeline starting before it is, so that nobody takes the old end for the new one", () => {
    registry.setDesired({ started: ["sink-1"] });
    expect(registry.pipeline().state).toBe("starting");
    registry = kept.open();
    expect(registry.pipeline().state).toBe("starting");
    seen("sink", "removed");
    expect(registry.pipeline().state).toBe("starting");
    registry.register(registration(incarnation("sink", 1, "2")));
    bye(incarnation("sink", 1, "2"), "completed");
    expect(registry.pipeline().state).toBe("completed");
  });
});

describe("a command that renews an instance", () => {
  const command = { command: "flowctl restart", holder: "process 1" };

  it("makes its end no crash, and leaves it to be started when the command is gone before it did", () => {
    registry.register(registration(incarnation("source")));
    const operation = registry.operations.hold(command, false);
    registry.setDesired({ started: ["source-1"], renewed: ["source-1"] });
    expect(stateOf("source")).toBe("healthy");
    bye(incarnation("source"), "stopped");
    seen("source", "exited");
    expect(stateOf("source")).toBe("stopping");
    operation.release();
    expect(registry.component("source").instances[0]).toMatchObject({ state: "starting", reason: "start requested" });
  });

  it("is the only one, until another takes over", () => {
    const first = registry.operations.hold(command, false);
    expect(() => registry.operations.hold(command, false)).toThrow(
      expect.objectContaining({ code: "control/operation-under-way", kind: "conflict" }),
    );
    const second = registry.operations.hold({ command: "flowctl down", holder: "process 2" }, true);
    expect(first.takenOver.reason).toMatchObject({ code: "control/operation-taken-over", kind: "conflict" });
    first.release();
    expect(registry.operations.current).toBe(second);
    second.release();
    expect(registry.operations.current).toBeUndefined();
  });

  it("is not held by whoever planned before another command did something, whether or not that is done", () => {
    const planned = registry.operations.hold(command, false).number;
    registry.operations.current?.release();
    registry.operations.hold(command, false, { unchangedSince: planned }).release();
    expect(() => registry.operations.hold(command, false, { unchangedSince: planned })).toThrow(
      expect.objectContaining({ code: "control/changed-since", kind: "conflict" }),
    );
    const since = registry.operations.hold(command, false);
    since.release();
    registry.operations.hold(command, false, { unchangedSince: since.number }).release();
    expect(() => registry.operations.hold(command, false, { unchangedSince: since.number - 1 })).toThrow(
      /after this change was planned/,
    );
    registry.operations.hold(command, false).release();
  });

  it("is not heard any more once another has taken over, also when that is done", () => {
    const first = registry.operations.hold(command, false);
    registry.operations.require(first.number);
    const second = registry.operations.hold({ command: "flowctl stop", holder: "process 2" }, true);
    const late = () => registry.operations.require(first.number);
    expect(late).toThrow(expect.objectContaining({ code: "control/operation-taken-over", kind: "conflict" }));
    second.release();
    expect(late).toThrow(/`flowctl stop` \(process 2\) has taken over/);
    // Who held it last goes on when only its connection broke, and whoever holds nothing is not asked.
    registry.operations.require(second.number);
    registry.operations.require(0);
  });
});

describe("counts", () => {
  const beat = (who: IncarnationReference, eventsIn: number) =>
    registry.heartbeat({ ...who, metrics: { ...noMetrics, eventsIn, inFlight: eventsIn }, degradedReason: "" });
  const totals = () => registry.component("sink").instances[0]?.totals;

  it("add up over the programs of an instance and over control planes", () => {
    registry.register(registration(incarnation("sink")));
    beat(incarnation("sink"), 10);
    registry = kept.open();
    expect(totals()).toMatchObject({ eventsIn: 10 });
    beat(incarnation("sink"), 12);
    registry.register(registration(incarnation("sink", 1, "2")));
    expect(totals()).toMatchObject({ eventsIn: 12, inFlight: 0 });
    beat(incarnation("sink", 1, "2"), 5);
    bye(incarnation("sink", 1, "2"), "failed", 7);
    registry.register(registration(incarnation("sink", 1, "3")));
    beat(incarnation("sink", 1, "3"), 1);
    expect(registry.component("sink").instances[0]).toMatchObject({
      totals: { eventsIn: 20, inFlight: 1 },
      metrics: { eventsIn: 1 },
      restarts: 2,
    });
  });

  it("go on where it was stopped and started by somebody, which is no restart, also after one", () => {
    registry.register(registration(incarnation("sink")));
    beat(incarnation("sink"), 10);
    bye(incarnation("sink"), "failed", 10);
    registry.register(registration(incarnation("sink", 1, "2")));
    expect(registry.component("sink").instances[0]).toMatchObject({ restarts: 1 });
    registry.setDesired({ stopped: ["sink-1"] });
    bye(incarnation("sink", 1, "2"), "stopped", 5);
    expect(registry.component("sink").instances[0]).toMatchObject({ restarts: 1 });
    registry.setDesired({ started: ["sink-1"] });
    expect(registry.component("sink").instances[0]).toMatchObject({ restarts: 0 });
    registry.register(registration(incarnation("sink", 1, "3")));
    expect(registry.component("sink").instances[0]).toMatchObject({ totals: { eventsIn: 15 }, restarts: 0 });
    bye(incarnation("sink", 1, "3"), "failed", 0);
    registry.register(registration(incarnation("sink", 1, "4")));
    expect(registry.component("sink").instances[0]).toMatchObject({ restarts: 1 });
  });

  it("begin anew with a pipeline that is started after it had completed", () => {
    for (const who of all) registry.register(registration(who));
    beat(incarnation("sink"), 10);
    for (const who of all) bye(who, "completed", 10);
    expect(totals()).toMatchObject({ eventsIn: 10 });
    registry.setDesired({ started: all.map(({ instanceId }) => instanceId) });
    registry.register(registration(incarnation("sink", 1, "2")));
    beat(incarnation("sink", 1, "2"), 3);
    expect(registry.component("sink").instances[0]).toMatchObject({ totals: { eventsIn: 3 }, restarts: 0 });
  });
});
