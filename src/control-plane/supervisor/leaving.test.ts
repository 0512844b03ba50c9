import { beforeEach, describe, expect, it } from "vitest";
import type { Change, DriverEvent, ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import { everyFeature } from "../../protocol/features.ts";
import type { ComponentSpec } from "../../protocol/records.ts";
import { incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import type { Registry } from "../registry.ts";
import type { SupervisedDriver } from "./supervised-driver.ts";
import { supervise } from "./supervisor.ts";

const IDS = ["source-1", "processor-1", "processor-2", "sink-1"];

let clock: FakeClock;
let registry: Registry;

const who = (id: string) => incarnation(id.slice(0, -2), Number(id.at(-1)));

/** A driver that starts whatever it is asked to, and says so. */
class StartingDriver implements SupervisedDriver {
  readonly capabilities = {
    ...{ images: false, limits: false, restartsExited: false },
  };
  readonly applied: string[] = [];
  readonly stopped = new Set<string>();
  readonly #states = new Map<string, ObservedState>();
  readonly #listeners = new Set<(event: DriverEvent) => void>();

  run(id: string): void {
    this.#states.set(id, { status: "running", startedAt: clock.now(), health: "none", restarts: 0 });
    this.#tell({ type: "started", key: `component/${id}`, time: clock.now() });
  }

  exit(id: string, exitCode: number): void {
    const exited = { exitCode, oomKilled: false, finishedAt: clock.now() };
    this.#states.set(id, { status: "exited", ...exited, restarts: 0 });
    const { finishedAt: time, ...rest } = exited;
    this.#tell({ type: "exited", key: `component/${id}`, time, ...rest, willRestart: false });
  }

  async observe(): Promise<readonly ObservedResource[]> {
    return [...this.#states].map(([id, state]) => ({
      ...{ key: `component/${id}`, kind: "component", owner: id.slice(0, -2), index: Number(id.at(-1)) },
      ...{ hash: "", parts: {}, ref: "", name: "", ports: [], state },
    })) as readonly ObservedResource[];
  }

  async apply(change: Change): Promise<void> {
    if (change.action === "stop") {
      const id = change.observed.key.slice("component/".length);
      this.stopped.add(id);
      this.exit(id, 0);
    }
    if (change.action !== "start" && change.action !== "restart") return;
    this.applied.push(`${change.action} ${change.observed.key}`);
    this.run(change.observed.key.slice("component/".length));
  }

  async *logs(): AsyncGenerator<never> {}

  async *events(_pipeline: string, signal: AbortSignal): AsyncGenerator<DriverEvent> {
    const queue: DriverEvent[] = [];
    let wake: () => void = () => undefined;
    const listener = (event: DriverEvent): void => {
      queue.push(event);
      wake();
    };
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => wake(), { once: true });
    while (!signal.aborted) {
      yield* queue.splice(0);
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (queue.length > 0 || signal.aborted) resolve();
      });
    }
  }

  #tell(event: DriverEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

beforeEach(() => {
  clock = fakeClock(1_000_000);
  registry = new Kept(clock).open();
});

/** A running pipeline whose processor is being scaled from two to one by a command that waits for the second to leave. */
async function scaledDown(
  before: (driver: StartingDriver) => unknown = () => undefined,
  features: readonly string[] = everyFeature,
) {
  const driver = new StartingDriver();
  const [source, processor, sink] = linearPipeline().components as [ComponentSpec, ComponentSpec, ComponentSpec];
  registry.apply({ ...linearPipeline(), components: [source, { ...processor, replicas: 2 }, sink] });
  const stop = new AbortController();
  const options = { driver, registry, pipeline: "p", clock, log: silentLogger, unhealthyAfterMs: 30_000 };
  const supervision = supervise({ ...options, random: () => 0.5 }, stop.signal);
  await clock.advance(10);
  for (const id of IDS) driver.run(id);
  await clock.advance(10);
  for (const id of IDS) registry.register(registration(who(id), { features }));
  before(driver);
  await clock.advance(10);
  const operation = registry.operations.hold({ command: "flowctl scale", holder: "test" }, false);
  registry.apply(linearPipeline());
  if (features.length > 0) expect(registry.desire("processor", "processor-2")).toBe("leaving");
  const end = async (): Promise<void> => {
    stop.abort();
    await supervision.ended;
  };
  return { driver, operation, end };
}

describe("an instance that leaves", () => {
  it("is started again when it crashes, also while the command that waits for it holds the operation", async () => {
    const { driver, end } = await scaledDown();
    driver.exit("processor-2", 137);
    for (let i = 0; i < 20; i++) await clock.advance(1_000);
    expect(driver.applied).toEqual(["start component/processor-2"]);
    await end();
  });

  it("is not started again once everything was stopped, and is when the pipeline is applied again", async () => {
    const { driver, operation, end } = await scaledDown();
    const stopping = registry.operations.hold({ command: "flowctl stop", holder: "test" }, true);
    operation.release();
    registry.setDesired({ stopped: "all" });
    for (const id of IDS) {
      registry.deregister({ ...who(id), reason: "stopped", message: "", metrics: noMetrics });
      driver.exit(id, 0);
    }
    stopping.release();
    for (let i = 0; i < 10; i++) await clock.advance(1_000);
    expect(driver.applied).toEqual([]);
    expect(registry.apply(linearPipeline(), { existing: IDS })).toBe(false);
    for (let i = 0; i < 10; i++) await clock.advance(1_000);
    expect(driver.applied).toEqual(["start component/processor-2"]);
    await end();
  });

  it("is stopped where ways that drain make a circle with the new ones, also when nobody but the supervisor does it", async () => {
    const driver = new StartingDriver();
    const [source, processor, sink] = linearPipeline().components as [ComponentSpec, ComponentSpec, ComponentSpec];
    const other = { ...processor, id: "other", inputs: [{ from: "processor", types: [] }] };
    const turned = (first: ComponentSpec, second: ComponentSpec) => [
      { ...first, inputs: [{ from: "source", types: [] }] },
      { ...second, inputs: [{ from: first.id, types: [] }] },
      { ...sink, inputs: [{ from: second.id, types: [] }] },
    ];
    registry.apply({ ...linearPipeline(), components: [source, ...turned(processor, other)] });
    const stop = new AbortController();
    const options = { driver, registry, pipeline: "p", clock, log: silentLogger, unhealthyAfterMs: 30_000 };
    const supervision = supervise({ ...options, random: () => 0.5 }, stop.signal);
    await clock.advance(10);
    for (const id of ["source-1", "processor-1", "other-1", "sink-1"]) {
      driver.run(id);
      registry.register(registration(who(id), id === "other-1" ? { type: "processor" } : {}));
    }
    await clock.advance(10);
    registry.apply({ ...linearPipeline(), components: [source, ...turned(other, processor)] });
    registry.setDesired({ stopped: "all" });
    await clock.advance(5_000);
    expect([...driver.stopped].sort()).toEqual(["other-1", "processor-1", "sink-1", "source-1"]);
    stop.abort();
    await supervision.ended;
  });

  it("is forgotten when it had crashed before it was scaled away, or ends without a word after that", async () => {
    for (const isBefore of [true, false]) {
      clock = fakeClock(1_000_000);
      registry = new Kept(clock).open();
      const { driver, end } = await scaledDown((running) => isBefore && running.exit("processor-2", 137), []);
      if (!isBefore) driver.exit("processor-2", 137);
      await clock.advance(1_000);
      expect(registry.entry("processor", "processor-2")).toBeUndefined();
      await end();
    }
  });

  it("has left when it is gone together with what it held, and somebody says so", async () => {
    const { driver, end } = await scaledDown();
    registry.setDesired({ stopped: "all" });
    registry.deregister({ ...who("processor-2"), reason: "stopped", message: "", metrics: noMetrics });
    driver.exit("processor-2", 0);
    await clock.advance(1_000);
    registry.apply(linearPipeline(), { existing: ["source-1", "processor-1", "sink-1"] });
    expect(registry.pipeline().draining).toBeUndefined();
    await end();
  });
});
