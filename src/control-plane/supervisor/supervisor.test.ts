import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { DriverEvent, ObservedState } from "../../drivers/driver.ts";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { PipelineSpec } from "../../protocol/records.ts";
import { componentSpec, incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import type { Registry } from "../registry.ts";
import { exited, OneInstance, running } from "./one-instance.fake.ts";
import { supervise } from "./supervisor.ts";

const source = incarnation("source");

const sinkBelowProcessor = (): PipelineSpec => ({
  ...linearPipeline(),
  components: [
    componentSpec({ id: "processor", type: "processor" }),
    componentSpec({ id: "source", type: "sink" }, "processor"),
  ],
});

let clock: FakeClock;
let registry: Registry;
let driver: OneInstance;
let stop: AbortController;
let supervising: Promise<void>;

const exit = (exitCode: number, rest: Partial<DriverEvent> = {}): void => {
  driver.state = exited(exitCode);
  driver.emit({
    type: "exited",
    key: "component/source-1",
    time: clock.now(),
    exitCode,
    oomKilled: false,
    willRestart: false,
    ...rest,
  } as DriverEvent);
};
const state = () => registry.component("source").instances[0]?.state;

beforeEach(() => {
  clock = fakeClock(1_000_000);
  driver = new OneInstance();
  stop = new AbortController();
  registry = new Kept(clock).open();
  registry.apply(linearPipeline());
});

afterEach(async () => {
  stop.abort();
  await supervising;
});

function begin(): void {
  const options = { driver, registry, pipeline: "p", clock, log: silentLogger, unhealthyAfterMs: 30_000 };
  supervising = supervise(options, stop.signal).ended;
}

/** It hangs, is given up, and goes on, as the driver can do nothing. */
async function giveUpInVain(): Promise<void> {
  registry.register(registration(source, { healthEndpoint: "x:1" }));
  registry.probed("source", "source-1", source.incarnation, { result: "failing", failures: 9, detail: "no answer" });
  begin();
  driver.failing = "the engine is busy";
  for (let second = 0; second < 300 && registry.pipeline().state !== "failed"; second++) {
    await clock.advance(1000);
    registry.assessAll();
  }
}

describe("the supervisor", () => {
  it("starts an instance that crashed, and shows meanwhile how it ended", async () => {
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    exit(137);
    await clock.advance(1);
    expect(registry.component("source").instances[0]).toMatchObject({
      state: "unhealthy",
      reason: "exited with code 137",
    });
    await clock.advance(1000);
    expect(driver.applied).toEqual(["start"]);
  });

  it("leaves alone what has completed or was told to stop", async () => {
    registry.register(registration(source));
    begin();
    registry.deregister({ ...source, reason: "completed", message: "", metrics: noMetrics });
    await clock.advance(1);
    exit(0);
    await clock.advance(60_000);
    expect(driver.applied).toEqual([]);
    expect(state()).toBe("completed");
    registry.register(registration(incarnation("source", 1, "2")));
    registry.setDesired({ stopped: ["source-1"] });
    exit(143);
    await clock.advance(60_000);
    expect(driver.applied).toEqual([]);
    expect(state()).toBe("stopping");
  });

  it("starts what has completed when its upstream runs again, once it has ended", async () => {
    registry.register(registration(source));
    registry.deregister({ ...source, reason: "completed", message: "", metrics: noMetrics });
    registry.apply(sinkBelowProcessor());
    await clock.advance(1);
    registry.register(registration(incarnation("processor")));
    begin();
    await clock.advance(1000);
    expect(driver.applied).toEqual([]);
    exit(0);
    await clock.advance(1000);
    expect(driver.applied).toEqual(["start"]);
    driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
    await clock.advance(1000);
    expect(driver.applied).toEqual(["start"]);
    expect(state()).toBe("starting");
  });

  it("leaves alone what has completed while its upstream still waits for others", async () => {
    registry.apply(sinkBelowProcessor());
    registry.register(registration(incarnation("processor")));
    await clock.advance(1);
    registry.register({ ...registration(source), type: "sink" });
    begin();
    await clock.advance(1000);
    registry.deregister({ ...source, reason: "completed", message: "", metrics: noMetrics });
    exit(0);
    await clock.advance(20_000);
    expect(driver.applied).toEqual([]);
    expect(state()).toBe("completed");
  });

  it.each([143, 0])("starts again what somebody outside ended by SIGTERM (exit code %i)", async (code) => {
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    if (code === 0) registry.deregister({ ...source, reason: "stopped", message: "", metrics: noMetrics });
    exit(code);
    await clock.advance(1_000);
    expect(driver.applied).toEqual(["start"]);
  });

  it("starts what ended with 0 without having said that it has completed", async () => {
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    exit(0);
    await clock.advance(1000);
    expect(driver.applied).toEqual(["start"]);
  });

  it("fails the pipeline when an instance crashes again and again, with what it said last, once", async () => {
    driver.lastLine = "no such table";
    begin();
    for (let crash = 1; crash <= 6; crash++) {
      const start = incarnation("source", 1, String(crash));
      registry.register(registration(start));
      registry.deregister({ ...start, reason: "failed", message: "no such table", metrics: noMetrics });
      await clock.advance(1);
      exit(1);
      await clock.advance(10_000);
    }
    expect(driver.applied.filter((action) => action === "start")).toHaveLength(5);
    expect(registry.pipeline()).toMatchObject({
      state: "failed",
      reason: "source-1 is failed: exited with code 1: no such table; gave up after 6 failures in a row",
    });
  });

  it("counts the crashes of an instance anew that was removed and comes back under its id", async () => {
    begin();
    const crash = async (run: string): Promise<void> => {
      const start = incarnation("source", 1, run);
      registry.register(registration(start));
      registry.deregister({ ...start, reason: "failed", message: "no such table", metrics: noMetrics });
      await clock.advance(1);
      exit(1);
      await clock.advance(10_000);
    };
    for (let run = 1; run <= 5; run++) await crash(String(run));
    registry.apply({ ...linearPipeline(), components: [componentSpec({ id: "other", type: "source" })] });
    exit(1);
    driver.emit({ type: "removed", key: "component/source-1", time: clock.now() });
    await clock.advance(1_000);
    driver.applied.splice(0);
    driver.state = running;
    registry.apply(linearPipeline());
    driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
    await clock.advance(1_000);
    await crash("6");
    expect(registry.pipeline().state).not.toBe("failed");
    expect(driver.applied).toEqual(["start"]);
  });

  it("restarts what hangs: no heartbeat for 30 s and no answer from /health", async () => {
    registry.register(registration(source, { healthEndpoint: "x:1" }));
    registry.probed("source", "source-1", source.incarnation, { result: "failing", failures: 9, detail: "no answer" });
    begin();
    for (let second = 0; second < 29; second++) {
      await clock.advance(1000);
      registry.assessAll();
    }
    expect(driver.applied).toEqual([]);
    for (let second = 0; second < 3; second++) {
      await clock.advance(1000);
      registry.assessAll();
    }
    expect(driver.applied).toEqual(["restart"]);
  });

  it("restarts once, also when the driver breaks off before it has answered, and again when the new run hangs as well", async () => {
    registry.register(registration(source, { healthEndpoint: "x:1" }));
    registry.probed("source", "source-1", source.incarnation, { result: "failing", failures: 9, detail: "no answer" });
    begin();
    const pass = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds; second++) {
        await clock.advance(1000);
        registry.assessAll();
      }
    };
    driver.answers = false;
    await pass(32);
    expect(driver.applied).toEqual(["restart"]);
    driver.answers = true;
    await pass(20);
    expect(driver.applied).toEqual(["restart"]);
    await pass(30);
    expect(driver.applied).toEqual(["restart", "restart"]);
  });

  it("restarts what runs and never registers, after the time that its component gives it", async () => {
    const spec = linearPipeline();
    registry.apply({
      ...spec,
      components: spec.components.map((one) => (one.id === "source" ? { ...one, startDeadlineMs: 5_000 } : one)),
    });
    begin();
    await clock.advance(1);
    driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
    await clock.advance(4_000);
    expect(driver.applied).toEqual([]);
    expect(registry.component("source").instances[0]?.reason).toBe("has not registered yet");
    await clock.advance(3_000);
    expect(driver.applied).toEqual(["restart"]);
    driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
    await clock.advance(3_000);
    registry.register(registration(source));
    await clock.advance(20_000);
    expect(driver.applied).toEqual(["restart"]);
  });

  it("gives what was asked to start its time to register, also when the driver could not tell that it was started", async () => {
    const spec = linearPipeline();
    registry.apply({
      ...spec,
      components: spec.components.map((one) => (one.id === "source" ? { ...one, startDeadlineMs: 5_000 } : one)),
    });
    registry.register(registration(source));
    begin();
    await clock.advance(10_000);
    const operation = registry.operations.hold({ command: "flowctl restart", holder: "process 1" }, false);
    registry.setDesired({ stopped: ["source-1"] });
    registry.deregister({ ...source, reason: "stopped", message: "", metrics: noMetrics });
    registry.setDesired({ started: ["source-1"] });
    operation.release();
    expect(registry.component("source").instances[0]?.reason).toBe("start requested");
    await clock.advance(4_000);
    expect(driver.applied).toEqual([]);
    await clock.advance(3_000);
    expect(driver.applied).toEqual(["restart"]);
  });

  it("starts nothing that is to be stopped, not even what waits to be restarted", async () => {
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    exit(1);
    await clock.advance(1);
    registry.setDesired({ stopped: ["source-1"] });
    await clock.advance(60_000);
    expect(driver.applied).toEqual([]);
    expect(state()).toBe("stopping");
    registry.setDesired({ started: ["source-1"] });
    await clock.advance(1_000);
    expect(driver.applied).toEqual(["start"]);
  });

  it("stops what is to be stopped and runs, when no command is at work on it, however often the driver fails", async () => {
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    const operation = registry.operations.hold({ command: "flowctl stop", holder: "process 1" }, false);
    registry.setDesired({ stopped: ["source-1"] });
    await clock.advance(60_000);
    expect(driver.applied).toEqual([]);
    driver.failing = "the engine is away";
    operation.release();
    await clock.advance(120_000);
    expect(driver.applied.length).toBeGreaterThan(6);
    driver.failing = undefined;
    await clock.advance(60_000);
    expect(driver.state.status).toBe("exited");
    expect(registry.pipeline().state).not.toBe("failed");
    expect(new Set(driver.applied)).toEqual(new Set(["stop"]));
  });

  it("restarts a replaced instance as often as its policy says, also when it crashes before it registers and while the command goes on", async () => {
    const spec = linearPipeline();
    registry.apply({ ...spec, components: spec.components.map((one) => ({ ...one, maxRestarts: 2 })) });
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    const operation = registry.operations.hold({ command: "flowctl up", holder: "process 1" }, false);
    registry.setDesired({ started: ["source-1"], renewed: ["source-1"] });
    // What the engine did before the command came to it is about the program of before.
    driver.emit({ type: "started", key: "component/source-1", time: clock.now() - 1 });
    exit(143);
    await clock.advance(10);
    const startsAndCrashes = async (): Promise<void> => {
      driver.state = { ...running, startedAt: clock.now() } as ObservedState;
      driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
      await clock.advance(10);
      exit(1);
      await clock.advance(10);
    };
    await startsAndCrashes();
    operation.release();
    for (let starts = 0; state() !== "failed"; ) {
      await clock.advance(1_000);
      const now = driver.applied.filter((action) => action === "start").length;
      if (now > starts) await startsAndCrashes();
      starts = now;
    }
    expect(driver.applied).toEqual(["start", "start"]);
    expect(registry.pipeline().reason).toContain("gave up after 3 failures in a row");
  });

  it("begins to count anew with a replaced instance, whatever the one before had done, and leaves its start to the command", async () => {
    const spec = linearPipeline();
    registry.apply({ ...spec, components: spec.components.map((one) => ({ ...one, maxRestarts: 2 })) });
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    exit(1);
    await clock.advance(1_000);
    exit(1);
    await clock.advance(10);
    const operation = registry.operations.hold({ command: "flowctl up", holder: "process 1" }, false);
    registry.setDesired({ started: ["source-1"], renewed: ["source-1"] });
    await clock.advance(60_000);
    expect(driver.applied).toEqual(["start"]);
    driver.state = { ...running, startedAt: clock.now() } as ObservedState;
    driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
    await clock.advance(10);
    operation.release();
    for (const starts of [2, 3]) {
      exit(1);
      await clock.advance(2_000);
      expect(driver.applied).toHaveLength(starts);
    }
    exit(1);
    await clock.advance(60_000);
    expect(driver.applied).toEqual(["start", "start", "start"]);
    expect(state()).toBe("failed");
  });

  it("starts what a command had ended and not started when it was killed", async () => {
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    const operation = registry.operations.hold({ command: "flowctl restart", holder: "process 1" }, false);
    registry.setDesired({ started: ["source-1"], renewed: ["source-1"] });
    exit(143);
    await clock.advance(60_000);
    expect(driver.applied).toEqual([]);
    operation.release();
    await clock.advance(1_000);
    expect(driver.applied).toEqual(["start"]);
  });

  it("names the memory limit of what ran out of it, and gives up with its last log line", async () => {
    const spec = linearPipeline();
    const components = spec.components.map((one) => ({ ...one, maxRestarts: 0, memoryLimitBytes: 256 * 1024 * 1024 }));
    registry.apply({ ...spec, components });
    registry.register(registration(source));
    driver.lastLine = '{"level":"info","msg":"reading everything"}';
    begin();
    await clock.advance(1);
    exit(137, { oomKilled: true } as Partial<DriverEvent>);
    await clock.advance(1_000);
    expect(registry.pipeline()).toMatchObject({
      state: "failed",
      reason: "source-1 is failed: exited with code 137: out of memory, limit 256M, last log line: reading everything",
    });
  });

  it("finds what ended while it was not looking", async () => {
    registry.register(registration(source));
    driver.state = exited(1);
    begin();
    await clock.advance(1000);
    expect(driver.applied).toEqual(["start"]);
  });

  // With the largest pause it looks at what is registered before it looks again at what runs.
  it.each([0, 0.5, 0.999])(
    "goes on when the driver's events break off, and finds what it missed: %d",
    async (random) => {
      const drawn = vi.spyOn(Math, "random").mockReturnValue(random);
      onTestFinished(() => drawn.mockRestore());
      registry.register(registration(source));
      begin();
      await clock.advance(1);
      driver.breakEvents = true;
      driver.emit({ type: "health", key: "component/source-1", time: 0, health: "healthy" });
      await clock.advance(1);
      driver.state = exited(1);
      driver.breakEvents = false;
      await clock.advance(1000);
      expect(driver.applied).toEqual(["start"]);
    },
  );

  it("lets a new program register at once while the driver is away, whose end of the last one nobody sees, and not before or after", async () => {
    const next = (run: string) => () => registry.register(registration(incarnation("source", 1, run)));
    registry.register(registration(source));
    begin();
    await clock.advance(1);
    expect(next("2")).toThrow(expect.objectContaining({ code: "registry/instance-alive" }));
    driver.breakEvents = true;
    driver.emit({ type: "health", key: "component/source-1", time: 0, health: "healthy" });
    await clock.advance(1);
    expect(next("2")).not.toThrow();
    driver.breakEvents = false;
    await clock.advance(1000);
    expect(next("3")).toThrow(expect.objectContaining({ code: "registry/instance-alive" }));
    expect(driver.applied).toEqual([]);
  });

  it("stops what it gives up, however often the driver fails at that, and says at once that it is given up", async () => {
    await giveUpInVain();
    expect(registry.pipeline().state).toBe("failed");
    expect(driver.applied.at(-1)).toBe("stop");
    expect(driver.state.status).toBe("running");
    driver.failing = undefined;
    await clock.advance(60_000);
    expect(driver.state.status).toBe("exited");
    const stops = driver.applied.filter((action) => action === "stop").length;
    await clock.advance(60_000);
    expect(driver.applied.filter((action) => action === "stop")).toHaveLength(stops);
    expect(registry.pipeline().state).toBe("failed");
  });

  it("leaves alone what somebody has started anew, although the one before it could not be stopped", async () => {
    await giveUpInVain();
    registry.register(registration(incarnation("source", 1, "anew")));
    driver.failing = undefined;
    driver.applied.splice(0);
    await clock.advance(25_000);
    expect(driver.applied).toEqual([]);
    expect(state()).not.toMatchObject({ name: "failed" });
    // It is supervised as any other is.
    exit(1);
    await clock.advance(5_000);
    expect(driver.applied).toEqual(["start"]);
  });

  it("asks a driver that fails again, and gives up in the end", async () => {
    registry.register(registration(source));
    begin();
    driver.failing = "no such image";
    await clock.advance(1);
    exit(1);
    await clock.advance(200_000);
    expect(driver.applied.filter((action) => action === "start")).toHaveLength(5);
    expect(registry.pipeline().reason).toContain("no such image");
  });
});
