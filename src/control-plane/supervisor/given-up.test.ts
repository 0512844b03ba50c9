import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { connectControlPlane } from "../../client/control-plane-client.ts";
import { connectRegistry } from "../../client/registry-client.ts";
import type { LogLine } from "../../drivers/driver.ts";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { systemClock } from "../../foundation/clock.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { PipelineSpec } from "../../protocol/records.ts";
import { startControlPlane } from "../control-plane.ts";
import { componentSpec, incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import type { Registry } from "../registry.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { exited, OneInstance } from "./one-instance.fake.ts";
import { type Supervision, supervise } from "./supervisor.ts";

/** Its logs come when they are told to. */
class SlowLogs extends OneInstance {
  tellLogs: () => void = () => undefined;
  asked = false;

  override async *logs(): AsyncGenerator<LogLine> {
    this.asked = true;
    await new Promise<void>((resolve) => {
      this.tellLogs = resolve;
    });
    yield { instance: "source-1", owner: "source", stream: "stdout", time: 0, text: "bad config" };
  }
}

const source = incarnation("source");
const end = { exitCode: 1, oomKilled: false, willRestart: false };

function onlyOnce(): PipelineSpec {
  const [, ...rest] = linearPipeline().components;
  return {
    ...linearPipeline(),
    components: [componentSpec({ id: "source", type: "source", maxRestarts: 0 }), ...rest],
  };
}

let clock: FakeClock;
let driver: SlowLogs;
let registry: Registry;
let supervision: Supervision;
let stop: AbortController;

/** The instance crashes, is given up, and what it said last is looked for. */
beforeEach(async () => {
  clock = fakeClock(1_000_000);
  driver = new SlowLogs();
  registry = new Kept(clock).open();
  registry.apply(onlyOnce());
  registry.register(registration(source));
  stop = new AbortController();
  const options = { driver, registry, pipeline: "p", clock, log: silentLogger, unhealthyAfterMs: 30_000 };
  supervision = supervise(options, stop.signal);
  await clock.advance(1_000);
  driver.state = exited(1);
  driver.emit({ type: "exited", key: "component/source-1", time: clock.now(), ...end });
  await clock.advance(100);
});

afterEach(async () => {
  driver.tellLogs();
  stop.abort();
  await supervision.ended;
});

async function startAnew(): Promise<void> {
  registry.setDesired({ started: ["source-1"] });
  driver.state = { status: "running", startedAt: clock.now(), health: "none", restarts: 0 };
  driver.emit({ type: "started", key: "component/source-1", time: clock.now() });
  await clock.advance(50);
  const next = incarnation("source", 1, "2");
  registry.register(registration(next));
  registry.heartbeat({ ...next, degradedReason: "", metrics: noMetrics });
}

it("a command that asks for it to be started waits for that, and is heard after it", async () => {
  const controlPlane = await startControlPlane({
    ...{ pipeline: "p", grpcListen: "127.0.0.1:0", httpListen: "127.0.0.1:0" },
    ...{ store: createMemoryStore(), clock: systemClock, log: silentLogger },
  });
  const soon = (): AbortSignal => AbortSignal.timeout(30_000);
  const client = connectControlPlane(controlPlane.grpcAddress);
  const program = connectRegistry(controlPlane.grpcAddress, { ...source, type: "source" });
  const slow = new SlowLogs();
  try {
    await client.applyPipeline(onlyOnce(), soon());
    await program.register(registration(source), soon());
    controlPlane.supervise(slow);
    slow.state = exited(1);
    slow.emit({ type: "exited", key: "component/source-1", time: Date.now(), ...end });
    const isLookedFor = (): boolean => slow.asked;
    await vi.waitUntil(isLookedFor);
    let isHeard = false;
    const heard = client.setDesiredState({ started: ["source-1"] }, soon()).then(() => {
      isHeard = true;
    });
    // Each answer comes in the order of the questions, so far as nothing is waited for.
    await client.getPipeline(soon());
    expect(isHeard).toBe(false);
    slow.tellLogs();
    await heard;
    const { components } = await client.getPipeline(soon());
    expect(components[0]?.instances[0]?.state).toBe("starting");
  } finally {
    slow.tellLogs();
    client.close();
    program.close();
    await controlPlane.close();
  }
});

const state = () => registry.component("source").instances[0]?.state;

it("whoever starts an instance that is just being given up can wait until that is over", async () => {
  let isOver = false;
  const over = supervision.settled(["source-1"]).then(() => {
    isOver = true;
  });
  await clock.advance(100);
  expect(isOver).toBe(false);
  driver.tellLogs();
  await over;
  expect(state()).toBe("failed");
  await startAnew();
  await clock.advance(60_000);
  expect(state()).not.toBe("failed");
  expect(driver.applied).toEqual([]);
});

it("a program that was started and has registered while the last one was being given up goes on", async () => {
  await startAnew();
  driver.tellLogs();
  await clock.advance(10_000);
  expect(driver.applied).toEqual([]);
  expect(state()).not.toBe("failed");
});
