import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { type ControlPlane, startControlPlane } from "../../src/control-plane/control-plane.ts";
import { createMemoryStore } from "../../src/control-plane/store/memory-store.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import type { FlowctlError } from "../../src/foundation/errors.ts";
import { silentLogger } from "../../src/foundation/logger.ts";
import type { ComponentSpec, InputSpec, OnErrorSpec } from "../../src/protocol/records.ts";
import type { ComponentDefinition } from "../../src/sdk/component.ts";
import { defineProcessor, defineSink, defineSource, type Event } from "../../src/sdk/index.ts";
import { runComponent } from "../../src/sdk/run-component.ts";

/** Components run in this process, by the SDK's own runtime, against a real control plane and over real streams. */
let controlPlane: ControlPlane;
let folder: string;
const stops: AbortController[] = [];
const runs: Promise<unknown>[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-sdk-"));
  controlPlane = await startControlPlane({
    pipeline: "p",
    grpcListen: "127.0.0.1:0",
    httpListen: "127.0.0.1:0",
    store: createMemoryStore(),
    clock: systemClock,
    log: silentLogger,
  });
});

afterEach(async () => {
  for (const stop of stops.splice(0)) stop.abort();
  await Promise.allSettled(runs.splice(0));
  await controlPlane.close();
  await rm(folder, { recursive: true, force: true });
});

const FAIL: OnErrorSpec = { action: "fail", to: "", retries: 0, backoffMs: 0 };
const anything = z.record(z.string(), z.unknown());

function spec(
  id: string,
  type: ComponentSpec["type"],
  inputs: readonly (string | InputSpec)[] = [],
  more: Partial<ComponentSpec> = {},
): ComponentSpec {
  return {
    id,
    type,
    inputs: inputs.map((input) => (typeof input === "string" ? { from: input, types: [] } : input)),
    replicas: 1,
    consumes: [],
    produces: [],
    partitionBy: "",
    maxRestarts: 5,
    onError: FAIL,
    ...more,
  };
}

async function apply(...components: ComponentSpec[]): Promise<void> {
  const client = connectControlPlane(controlPlane.grpcAddress);
  await client.applyPipeline({ name: "p", driver: "process", components }, AbortSignal.timeout(5_000));
  client.close();
}

async function pipeline() {
  const client = connectControlPlane(controlPlane.grpcAddress);
  const record = await client.getPipeline(AbortSignal.timeout(5_000));
  client.close();
  return record;
}

interface Started {
  readonly outcome: Promise<"completed" | "stopped">;
  stop(): void;
}

function start(id: string, component: ComponentDefinition, index = 1, config: unknown = {}): Started {
  const stop = new AbortController();
  stops.push(stop);
  const outcome = runComponent(component, {
    environment: {
      instance: { pipeline: "p", componentId: id, instanceId: `${id}-${index}`, index, replicas: 1 },
      type: component.type,
      controlPlane: controlPlane.grpcAddress,
      listen: "127.0.0.1:0",
      advertise: undefined,
      healthHost: "127.0.0.1",
      healthPort: 0,
      config,
      stateDirectory: join(folder, `${id}-${index}`),
      secretsDirectory: folder,
      logLevel: "info",
      stopGraceMs: 10_000,
    },
    config,
    clock: systemClock,
    log: silentLogger,
    stop: stop.signal,
    secret: async () => "",
  });
  runs.push(outcome);
  outcome.catch(() => undefined);
  return { outcome, stop: () => stop.abort() };
}

/** Emits the numbers 1 to `count`; goes on where it stopped. `committed` positions are kept. */
function numbers(count: number, committed: number[] = []): ComponentDefinition {
  return defineSource<unknown, number>({
    name: "numbers",
    version: "1",
    config: anything,
    open: ({ position = 0, signal }) => ({
      async run(emit) {
        for (let n = position + 1; n <= count && !signal.aborted; n++) await emit({ type: "number", json: { n } }, n);
      },
      committed: async (reached) => void committed.push(reached),
    }),
  });
}

function collect(into: Event[], refuse: (event: Event) => boolean = () => false): ComponentDefinition {
  return defineSink({
    name: "collect",
    version: "1",
    config: anything,
    open: () => ({
      async write(events) {
        const bad = events.find(refuse);
        if (bad !== undefined) throw new Error(`cannot write ${bad.id}`);
        into.push(...events);
      },
    }),
  });
}

function numbersOf(events: readonly Event[]): number[] {
  return events.map((event) => (event.json() as { n: number }).n);
}

function oneTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a pipeline of SDK components", () => {
  it("completes when its source has ended, with every event delivered in order and the position committed", async () => {
    await apply(spec("s", "source"), spec("p1", "processor", ["s"]), spec("k", "sink", ["p1"]));
    const committed: number[] = [];
    const got: Event[] = [];
    const double = defineProcessor({
      name: "double",
      version: "1",
      config: anything,
      open: () => ({
        process(event, emit) {
          const { n } = event.json() as { n: number };
          return n % 2 === 0 ? emit({ json: { n: n * 10 } }) : undefined;
        },
      }),
    });
    const parts = [start("s", numbers(5000, committed)), start("p1", double), start("k", collect(got))];
    expect(await Promise.all(parts.map((part) => part.outcome))).toEqual(["completed", "completed", "completed"]);
    expect(numbersOf(got)).toEqual(oneTo(2500).map((i) => i * 20));
    expect(committed.at(-1)).toBe(5000);
    expect([...committed].sort((a, b) => a - b)).toEqual(committed);
    expect(got[0]).toMatchObject({
      id: "s-1:2/p1",
      type: "number",
      sourceComponentId: "p1",
      upstream: "p1",
      contentType: "application/json",
    });
    const record = await pipeline();
    expect(record.state).toBe("completed");
    expect(record.components.find(({ id }) => id === "p1")?.instances[0]?.metrics).toMatchObject({
      eventsIn: 5000,
      eventsOut: 2500,
      eventsFiltered: 2500,
    });
  });

  it("gives the same ids on a replay, and ids of their own to several outputs of one input", async () => {
    await apply(spec("s", "source"), spec("p1", "processor", ["s"]), spec("k", "sink", ["p1"]));
    const got: Event[] = [];
    const split = defineProcessor({
      name: "split",
      version: "1",
      config: anything,
      open: () => ({
        async process(event, emit) {
          await emit(event);
          await emit({ type: "copy" });
          await emit({ type: "copy" });
        },
      }),
    });
    const parts = [start("s", numbers(1)), start("p1", split), start("k", collect(got))];
    await Promise.all(parts.map((part) => part.outcome));
    expect(got.map(({ id, type }) => `${id} ${type}`)).toEqual(["s-1:1 number", "s-1:1/p1.1 copy", "s-1:1/p1.2 copy"]);
    expect(got[1]?.json()).toEqual({ n: 1 });
  });

  it.each([1, 4])(
    "refuses what a processor emits after it is through with the input, %i at a time",
    async (concurrency) => {
      await apply(spec("s", "source"), spec("p1", "processor", ["s"]), spec("k", "sink", ["p1"]));
      const got: Event[] = [];
      const refused: unknown[] = [];
      const forgetful = defineProcessor({
        name: "forgetful",
        version: "1",
        config: anything,
        concurrency,
        open: () => ({
          process(event, emit) {
            setImmediate(() => emit(event).catch((error: unknown) => refused.push(error)));
          },
        }),
      });
      const parts = [start("s", numbers(3)), start("p1", forgetful), start("k", collect(got))];
      await Promise.all(parts.map((part) => part.outcome));
      expect(refused.map((error) => (error as FlowctlError).code)).toEqual(Array(3).fill("sdk/emit-too-late"));
      expect(got).toEqual([]);
    },
  );

  it("goes on after a stop where the last acknowledged event was, without a gap and without a repetition", async () => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"]));
    const got: Event[] = [];
    start("k", collect(got));
    const first = start("s", numbers(1_000_000));
    await until(() => got.length > 2000);
    first.stop();
    expect(await first.outcome).toBe("stopped");
    const second = start("s", numbers(got.length + 500));
    expect(await second.outcome).toBe("completed");
    expect(numbersOf(got)).toEqual(oneTo(got.length));
  });

  it("shares events between instances by key, keeping the order of each key while instances come and go", async () => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"], { replicas: 3, partitionBy: "payload.key" }));
    const seen = new Map<number, number>();
    const sink = defineSink({
      name: "keyed",
      version: "1",
      config: anything,
      open: () => ({
        async write(events) {
          for (const event of events) {
            const { key, n } = event.json() as { key: number; n: number };
            expect(n).toBeGreaterThan(seen.get(key) ?? 0);
            seen.set(key, n);
          }
          await new Promise((resolve) => setImmediate(resolve));
        },
      }),
    });
    const source = defineSource<unknown, number>({
      name: "keys",
      version: "1",
      config: anything,
      open: () => ({
        async run(emit) {
          for (let n = 1; n <= 30_000; n++) await emit({ json: { n, key: n % 17 } }, n);
        },
      }),
    });
    const emitting = start("s", source);
    const one = start("k", sink, 1);
    await until(() => seen.size === 17);
    start("k", sink, 2);
    const before = Math.max(...seen.values());
    await until(() => Math.max(...seen.values()) > before);
    start("k", sink, 3);
    one.stop();
    expect(await one.outcome).toBe("stopped");
    start("k", sink, 1);
    expect(await emitting.outcome).toBe("completed");
    expect([...seen.values()].sort((a, b) => a - b)).toEqual(oneTo(30_000).slice(-17));
  });
});

describe("on_error", () => {
  const bad = (event: Event): boolean => (event.json() as { n: number }).n === 3;
  const failing = (attempts: { count: number }, heals = Number.POSITIVE_INFINITY): ComponentDefinition =>
    defineProcessor({
      name: "failing",
      version: "1",
      config: anything,
      open: () => ({
        process(event, emit) {
          if (bad(event) && ++attempts.count < heals) throw new Error("three is bad");
          return emit(event);
        },
      }),
    });

  it("fail ends the component with the event and the reason", async () => {
    await apply(spec("s", "source"), spec("p1", "processor", ["s"]), spec("k", "sink", ["p1"]));
    start("s", numbers(5));
    start("k", collect([]));
    await expect(start("p1", failing({ count: 0 })).outcome).rejects.toMatchObject({
      code: "sdk/event-failed",
      message: expect.stringContaining('event "s-1:3" could not be processed: three is bad'),
    });
  });

  it("retry tries again as often as it says, and the event counts once", async () => {
    const onError: OnErrorSpec = { action: "retry", to: "", retries: 3, backoffMs: 1 };
    await apply(spec("s", "source"), spec("p1", "processor", ["s"], { onError }), spec("k", "sink", ["p1"]));
    const got: Event[] = [];
    const attempts = { count: 0 };
    start("s", numbers(5));
    start("p1", failing(attempts, 3));
    await start("k", collect(got)).outcome;
    expect(numbersOf(got)).toEqual([1, 2, 3, 4, 5]);
    expect(attempts.count).toBe(3);
  });

  it("drop leaves the event out and counts it", async () => {
    const onError: OnErrorSpec = { ...FAIL, action: "drop" };
    await apply(spec("s", "source"), spec("p1", "processor", ["s"], { onError }), spec("k", "sink", ["p1"]));
    const got: Event[] = [];
    start("s", numbers(5));
    start("p1", failing({ count: 0 }));
    await start("k", collect(got)).outcome;
    expect(numbersOf(got)).toEqual([1, 2, 4, 5]);
    await until(async () => (await pipeline()).state === "completed");
    const record = await pipeline();
    expect(record.components.find(({ id }) => id === "p1")?.instances[0]?.metrics).toMatchObject({
      eventsDropped: 1,
      eventsFailed: 1,
      eventsFiltered: 0,
    });
  });

  it.each(["processor", "sink"] as const)(
    "dead_letter of a %s keeps the event byte for byte, with why, where, when and how often",
    async (type) => {
      const onError: OnErrorSpec = { action: "dead_letter", to: "dead", retries: 2, backoffMs: 1 };
      const got: Event[] = [];
      const dead: Event[] = [];
      if (type === "processor") {
        await apply(
          spec("s", "source"),
          spec("x", "processor", ["s"], { onError }),
          spec("k", "sink", ["x"]),
          spec("dead", "sink"),
        );
        start("x", failing({ count: 0 }));
        start("k", collect(got));
      } else {
        await apply(spec("s", "source"), spec("x", "sink", ["s"], { onError }), spec("dead", "sink"));
        start("x", collect(got, bad));
      }
      start("s", numbers(5));
      expect(await start("dead", collect(dead)).outcome).toBe("completed");
      await until(async () => (await pipeline()).state === "completed");
      expect(numbersOf(got).sort()).toEqual([1, 2, 4, 5]);
      expect(numbersOf(dead)).toEqual([3]);
      expect(dead[0]).toMatchObject({ id: "s-1:3", type: "number", sourceComponentId: "s" });
      expect(dead[0]?.metadata).toMatchObject({
        "flowctl.dead_letter.component": "x",
        "flowctl.dead_letter.attempts": "3",
        "flowctl.dead_letter.reason": expect.stringContaining(
          type === "processor" ? "three is bad" : "cannot write s-1:3",
        ),
        "flowctl.dead_letter.time": expect.stringMatching(/^\d{4}-/),
      });
    },
  );

  it.each([0, 1])(
    "drops nothing of a batch that met an outage, whatever its broken connection says of each event (%i retries)",
    async (retries) => {
      const onError: OnErrorSpec = { action: "drop", to: "", retries, backoffMs: 1 };
      await apply(spec("s", "source"), spec("k", "sink", ["s"], { onError }));
      const stopped = Object.assign(new Error("the database shuts down"), { code: "57P01" });
      let broken = false;
      const sink = defineSink({
        name: "broken",
        version: "1",
        config: anything,
        open: () => ({
          async write(events) {
            if (broken) throw new Error("the client is not queryable");
            if (events.length === 1) return;
            broken = true;
            throw stopped;
          },
        }),
      });
      start("s", numbers(30_000));
      await expect(start("k", sink).outcome).rejects.toBe(stopped);
    },
  );

  it("decides about an event that is too large to be carried", async () => {
    const onError: OnErrorSpec = { ...FAIL, action: "drop" };
    await apply(spec("s", "source"), spec("p1", "processor", ["s"], { onError }), spec("k", "sink", ["p1"]));
    const got: Event[] = [];
    const grow = defineProcessor({
      name: "grow",
      version: "1",
      config: anything,
      open: () => ({
        async process(event, emit) {
          await emit(bad(event) ? { payload: new Uint8Array(17 * 1024 * 1024) } : event);
        },
      }),
    });
    start("s", numbers(5));
    start("p1", grow);
    await start("k", collect(got)).outcome;
    expect(numbersOf(got)).toEqual([1, 2, 4, 5]);
  });
});

describe("a buffer on an input", () => {
  it("on disk lets a sibling go on while its own sink is away, and delivers everything in the end", async () => {
    const buffer = { type: "disk", maxEvents: 100_000, maxBytes: 0, whenFull: "block" } as const;
    await apply(
      spec("s", "source"),
      spec("fast", "sink", ["s"]),
      spec("slow", "sink", [{ from: "s", types: [], buffer }]),
    );
    const fast: Event[] = [];
    const slow: Event[] = [];
    const source = start("s", numbers(20_000));
    expect(await start("fast", collect(fast)).outcome.catch(String)).toBeDefined();
    expect(fast.length).toBe(20_000);
    expect(slow.length).toBe(0);
    await start("slow", collect(slow)).outcome;
    expect(await source.outcome).toBe("completed");
    expect(numbersOf(slow)).toEqual(oneTo(20_000));
  });

  it("in memory drops what does not fit, counts it, and never holds the source up", async () => {
    const buffer = { type: "memory", maxEvents: 100, maxBytes: 0, whenFull: "drop_newest" } as const;
    await apply(
      spec("s", "source"),
      spec("fast", "sink", ["s"]),
      spec("slow", "sink", [{ from: "s", types: [], buffer }]),
    );
    const fast: Event[] = [];
    const slow: Event[] = [];
    start("fast", collect(fast));
    const source = start("s", numbers(20_000));
    await until(() => fast.length === 20_000);
    await start("slow", collect(slow)).outcome;
    expect(await source.outcome).toBe("completed");
    expect(numbersOf(slow)).toEqual(oneTo(100));
    const record = await pipeline();
    expect(record.components.find(({ id }) => id === "s")?.instances[0]?.metrics.eventsDropped).toBe(19_900);
  });
});
