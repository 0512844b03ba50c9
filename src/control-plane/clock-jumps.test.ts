import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Change, DriverEvent, ObservedResource, ObservedState } from "../drivers/driver.ts";
import { type FakeClock, fakeClock } from "../foundation/clock.fake.ts";
import { silentLogger } from "../foundation/logger.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import { tellingJumps } from "./clock-jumps.ts";
import { monitorHealth } from "./health-monitor.ts";
import { restoredInstance } from "./instance.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { Registry } from "./registry.ts";
import { supervise } from "./supervisor/supervisor.ts";

const HOUR = 3_600_000;
const ids = ["source", "processor", "sink"];

let clock: FakeClock;
let registry: Registry;
let end: AbortController;
let ended: Promise<unknown>;
let applied: string[];
let said: string[];
let states: Map<string, ObservedState>;
let tell: (event: DriverEvent) => void;

/** What runs, as an engine has it: each start and end with the time of the machine's clock. */
const driver = {
  capabilities: {
    ...{ images: false, limits: false, restartsExited: false },
  },
  observe: async (): Promise<readonly ObservedResource[]> =>
    [...states].map(([id, state]) => ({
      ...{ key: `component/${id}-1` as const, kind: "component" as const, owner: id, index: 1 },
      ...{ hash: "", parts: {}, ref: "", name: "", ports: [], state },
    })),
  apply: async (change: Change): Promise<void> => {
    if (!("observed" in change)) return;
    applied.push(`${change.action} ${change.observed.key}`);
  },
  async *events(_pipeline: string, signal: AbortSignal): AsyncGenerator<DriverEvent> {
    const queue: DriverEvent[] = [];
    let wake = (): void => undefined;
    tell = (event) => {
      queue.push(event);
      wake();
    };
    signal.addEventListener("abort", () => wake(), { once: true });
    while (!signal.aborted) {
      yield* queue.splice(0);
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (signal.aborted) resolve();
      });
    }
  },
};

beforeEach(() => {
  clock = fakeClock(1_700_000_000_000);
  applied = [];
  said = [];
  states = new Map(
    ids.map((id) => [id, { status: "running", startedAt: clock.now(), health: "none", restarts: 0 } as const]),
  );
  const telling = tellingJumps(clock, (ms) => {
    supervision.clockJumped(ms);
    registry.clockJumped(ms);
  });
  registry = new Registry({
    pipeline: "p",
    clock: telling,
    unhealthyAfterMs: 30_000,
    journal: {
      event: ({ type, message }) => said.push(`${type}: ${message}`),
      pipelineChanged: () => undefined,
      instanceChanged: () => undefined,
      instanceRemoved: () => undefined,
    },
    restored: { pipeline: undefined, instances: [] },
  });
  registry.apply(linearPipeline());
  end = new AbortController();
  const rest = { registry, clock: telling };
  const supervision = supervise(
    { ...rest, driver, pipeline: "p", log: silentLogger, unhealthyAfterMs: 30_000, random: () => 0.5 },
    end.signal,
  );
  const probe = async () => ({ result: "passing" }) as const;
  const watched = monitorHealth({ ...rest, probe, pollIntervalMs: 5_000, random: () => 0.5 }, end.signal);
  ended = Promise.all([supervision.ended, watched]);
  for (const id of ids) registry.register(registration(incarnation(id)));
});
afterEach(async () => {
  end.abort();
  await ended;
});

async function pass(seconds: number, silent: readonly string[] = []): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    await clock.advance(1_000);
    for (const id of ids.filter((one) => !silent.includes(one)))
      registry.heartbeat({ ...incarnation(id), metrics: noMetrics, degradedReason: "" });
  }
}

const stateOf = (id: string): string | undefined => registry.entry(id, `${id}-1`)?.data.state.name;

describe.each([
  ["forwards", HOUR],
  ["back", -HOUR],
])("when the machine's clock is set %s by an hour", (way, jump) => {
  it("everybody stays as well as he was, and it is said", async () => {
    await pass(20);
    clock.jump(jump);
    for (let i = 0; i < 40; i++) {
      await clock.advance(250);
      expect(ids.map(stateOf)).toEqual(["healthy", "healthy", "healthy"]);
    }
    await pass(60);
    expect(ids.map(stateOf)).toEqual(["healthy", "healthy", "healthy"]);
    expect(applied).toEqual([]);
    expect(said).toContain(`clock.jumped: the clock of the machine jumped ${way} by 3600 s`);
  });

  it("who was started shortly before, and not looked at yet, has not been started again", async () => {
    await pass(9);
    // After it registered, by the clock as it is set.
    states.set("sink", { status: "running", startedAt: clock.now() - 9_500, health: "none", restarts: 0 });
    clock.jump(jump);
    await pass(25);
    expect(registry.entry("sink", "sink-1")?.data).toMatchObject({ starts: 0, state: { name: "healthy" } });
    expect(applied).toEqual([]);
  });

  it("who exits after that is started again, and who hangs is restarted, as soon as without it", async () => {
    await pass(20);
    clock.jump(jump);
    const exited = { exitCode: 1, oomKilled: false, finishedAt: clock.now() };
    states.set("sink", { status: "exited", ...exited, restarts: 0 });
    tell({ type: "exited", key: "component/sink-1", time: clock.now(), ...exited, willRestart: false });
    await pass(2, ["sink"]);
    expect(applied).toEqual(["start component/sink-1"]);
  });

  it("who waits for its restart does not wait longer or shorter for it", async () => {
    await pass(20);
    for (let crash = 0; crash < 4; crash++) {
      const exited = { exitCode: 1, oomKilled: false, finishedAt: clock.now() };
      states.set("sink", { status: "exited", ...exited, restarts: 0 });
      tell({ type: "exited", key: "component/sink-1", time: clock.now(), ...exited, willRestart: false });
      if (crash < 3) await pass(4, ["sink"]);
    }
    await clock.advance(400);
    const before = applied.length;
    clock.jump(jump);
    await clock.advance(400);
    expect(applied).toHaveLength(before);
    await pass(4, ["sink"]);
    expect(applied).toHaveLength(before + 1);
  });
});

it("an instance that is known from before a clock was set back begins now, not in the future", () => {
  const { data } = registry.entry("sink", "sink-1")!;
  const now = clock.now() - HOUR;
  const entry = restoredInstance(data, now);
  expect([entry.data.registeredAt, entry.data.state.since]).toEqual([now, now]);
});
