import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Change, DriverEvent, ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import { incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Registry } from "../registry.ts";
import { ServiceWatch } from "./service-watch.ts";

const key = "service/db-1";
let clock: FakeClock;
let registry: Registry;
let watch: ServiceWatch;
let applied: string[];
let end: AbortController;
/** The driver breaks off before it has done anything, or after that. */
let lost: "before" | "after" | undefined;
let startedAt: number;
/** The driver answers nothing before that. */
let hanging: Promise<void> | undefined;
const engineGone = new FlowctlError({ code: "x/y", kind: "unavailable", message: "engine gone" });

const service = (state: ObservedState, maxRestarts: number): ObservedResource => ({
  ...{ key, kind: "service", owner: "db", index: 1, hash: "", parts: {}, ref: "", name: "", ports: [] },
  ...{ state, policy: { maxRestarts, memoryLimitBytes: 64 * 1024 * 1024 } },
});
const running = (health: "none" | "healthy"): ObservedState => ({
  status: "running",
  startedAt: 1,
  health,
  restarts: 0,
});
const exited = (exitCode: number, willRestart: boolean, oomKilled = false): DriverEvent => ({
  ...{ type: "exited", key, time: clock.now(), exitCode, oomKilled, willRestart },
});
const pipeline = (): string => {
  const { state, reason } = registry.pipeline();
  return reason === "" ? state : `${state}: ${reason}`;
};

async function pass(seconds: number): Promise<void> {
  for (let tick = 0; tick < seconds * 5; tick++) {
    await clock.advance(200);
    watch.tick();
  }
  await watch.settled();
}

beforeEach(() => {
  clock = fakeClock(1_000_000);
  applied = [];
  lost = undefined;
  hanging = undefined;
  startedAt = 1;
  end = new AbortController();
  registry = new Registry({
    pipeline: "p",
    clock,
    unhealthyAfterMs: 30_000,
    journal: {
      event: () => undefined,
      pipelineChanged: () => undefined,
      instanceChanged: () => undefined,
      instanceRemoved: () => undefined,
    },
    restored: { pipeline: undefined, instances: [] },
  });
  registry.apply(linearPipeline());
  for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
  const driver = {
    capabilities: {
      ...{ images: true, limits: true, restartsExited: true },
    },
    observe: async () => {
      await hanging;
      if (lost === "before") throw engineGone;
      return [service({ status: "running", startedAt, health: "unhealthy", restarts: 0 }, 1)];
    },
    apply: async (change: Change) => {
      applied.push(change.action);
      startedAt++;
      if (lost === "after") throw engineGone;
    },
    async *events() {},
    async *logs() {
      yield { instance: "db-1", owner: "db", stream: "stdout" as const, time: 0, text: "bye" };
    },
  };
  watch = new ServiceWatch({
    ...{ driver, registry, pipeline: "p", clock, log: silentLogger, illForMs: 30_000, random: () => 0.5 },
    signal: end.signal,
  });
});
afterEach(() => end.abort());

describe("a service", () => {
  it("that runs, or has exited with 0, is well", async () => {
    watch.looked([service(running("none"), 0)]);
    await pass(1);
    expect(pipeline()).toBe("running");
    watch.told(exited(0, false));
    await pass(60);
    expect(pipeline()).toBe("running");
  });

  it("that crashes degrades the pipeline until it runs again, and fails it when nobody starts it any more", async () => {
    watch.looked([service(running("none"), 1)]);
    watch.told(exited(137, true, true));
    expect(pipeline()).toBe("degraded: service db-1 is unhealthy: exited with code 137: out of memory, limit 64M");
    watch.told({ type: "started", key, time: clock.now() });
    await pass(1);
    expect(pipeline()).toBe("running");
    watch.told(exited(1, false));
    await pass(1);
    expect(pipeline()).toBe(
      "failed: service db-1 is failed: exited with code 1; gave up after 2 failures in a row, last log line: bye",
    );
    expect(applied).toEqual([]);
  });

  it("that stays unhealthy is restarted, as often as its policy allows", async () => {
    watch.looked([service(running("healthy"), 1)]);
    watch.told({ type: "health", key, time: clock.now(), health: "unhealthy" });
    await pass(1);
    expect(pipeline()).toBe("degraded: service db-1 is unhealthy: the health check is failing");
    await pass(28);
    expect(applied).toEqual([]);
    await pass(2);
    expect(applied).toEqual(["restart"]);
    watch.told({ type: "started", key, time: clock.now() });
    watch.told({ type: "health", key, time: clock.now(), health: "unhealthy" });
    await pass(35);
    expect(pipeline()).toMatch(/^failed: service db-1 is failed: the health check is failing; gave up after 2/);
    expect(applied).toEqual(["restart"]);
    watch.told({ type: "health", key, time: clock.now(), health: "healthy" });
    await pass(1);
    expect(pipeline()).toBe("running");
  });

  it.each([
    ["before", 120],
    ["after", 31],
  ] as const)(
    "that is to be restarted by a driver that is away is not given up for that, and restarted once: broken off %s it was done",
    async (when, seconds) => {
      watch.looked([service(running("healthy"), 1)]);
      watch.told({ type: "health", key, time: clock.now(), health: "unhealthy" });
      lost = when;
      await pass(seconds);
      expect(pipeline()).toBe("degraded: service db-1 is unhealthy: the health check is failing");
      lost = undefined;
      await pass(6);
      expect(applied).toEqual(["restart"]);
    },
  );

  it("that is about to be restarted is not when a command begins meanwhile, which may end it", async () => {
    watch.looked([service(running("healthy"), 1)]);
    watch.told({ type: "health", key, time: clock.now(), health: "unhealthy" });
    let goOn: () => void = () => undefined;
    hanging = new Promise((resolve) => {
      goOn = resolve;
    });
    for (let tick = 0; tick < 200; tick++) {
      await clock.advance(200);
      watch.tick();
    }
    let isOver = false;
    const settled = watch.settled().then(() => {
      isOver = true;
    });
    registry.setDesired({ stopped: "all" });
    await clock.advance(1_000);
    expect(isOver).toBe(false);
    goOn();
    await settled;
    expect(applied).toEqual([]);
  });

  it("that is removed fails the pipeline; one that a command changes does not", async () => {
    watch.looked([service(running("none"), 0)]);
    const operation = registry.operations.hold({ command: "flowctl up", holder: "x" }, false);
    watch.told(exited(137, false));
    watch.told({ type: "removed", key, time: clock.now() });
    await pass(1);
    expect(pipeline()).toBe("running");
    watch.looked([service(running("none"), 0)]);
    operation.release();
    watch.told({ type: "removed", key, time: clock.now() });
    expect(pipeline()).toMatch(/^failed: service db-1 is failed: its container was removed/);
  });

  it("that crashes while a command changes the pipeline has crashed, where no command ends anything like that", async () => {
    watch.looked([service(running("none"), 0)]);
    const operation = registry.operations.hold({ command: "flowctl up", holder: "x" }, false);
    watch.told(exited(137, false, true));
    await pass(1);
    watch.looked([
      service({ status: "exited", exitCode: 137, oomKilled: true, finishedAt: clock.now(), restarts: 0 }, 0),
    ]);
    expect(pipeline()).toBe("running");
    operation.release();
    await pass(1);
    expect(pipeline()).toMatch(/^failed: service db-1 is failed: exited with code 137: out of memory, limit 64M/);
  });

  it("is nobody's trouble once everything has completed", async () => {
    watch.looked([service(running("none"), 0)]);
    for (const id of ["source", "processor", "sink"])
      registry.deregister({ ...incarnation(id), reason: "completed", message: "", metrics: noMetrics });
    watch.told(exited(1, false));
    await pass(1);
    expect(pipeline()).toBe("completed");
  });

  it("that had ended before anybody looked, by a signal, may have been told to", async () => {
    const ended = (exitCode: number): ObservedState => ({
      ...{ status: "exited", exitCode, oomKilled: false, finishedAt: 1, restarts: 0 },
    });
    watch.looked([service(ended(143), 0)]);
    await pass(1);
    expect(pipeline()).toBe("running");
  });
});
