import { describe, expect, it } from "vitest";
import type { FlowctlError } from "../../src/foundation/errors.ts";
import type { OnErrorSpec } from "../../src/protocol/records.ts";
import { defineProcessor, defineSink, defineSource, type Event } from "../../src/sdk/index.ts";
import type { ReceivedEvent } from "../../src/streams/receiving/received-event.ts";
import {
  anything,
  apply,
  collect,
  FAIL,
  numbers,
  numbersOf,
  oneTo,
  pipeline,
  spec,
  start,
  until,
  useSdkWorld,
} from "./sdk-world.ts";

useSdkWorld();

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
      id: "s:2/p1",
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

  it("lets what a source has emitted leave after each batch, though there is room for more", async () => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"]));
    let turns = 0;
    const eager = defineSource<unknown, number>({
      name: "eager",
      version: "1",
      config: anything,
      open: () => ({
        async run(emit) {
          let emitting = true;
          const count = (): void => {
            turns++;
            if (emitting) setImmediate(count);
          };
          setImmediate(count);
          for (let n = 1; n <= 8 * 2048; n++) await emit({ payload: "" }, n);
          emitting = false;
        },
      }),
    });
    const parts = [start("s", eager), start("k", collect([]))];
    await Promise.all(parts.map((part) => part.outcome));
    expect(turns).toBeGreaterThanOrEqual(8);
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
    expect(got.map(({ id, type }) => `${id} ${type}`)).toEqual(["s:1 number", "s:1/p1.1 copy", "s:1/p1.2 copy"]);
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

  it("refuses what comes late of one input while the processor works on the next, instead of taking it for the next", async () => {
    await apply(spec("s", "source"), spec("p1", "processor", ["s"]), spec("k", "sink", ["p1"]));
    const got: Event[] = [];
    const refused: unknown[] = [];
    let late: (() => Promise<void>) | undefined;
    const forgetful = defineProcessor({
      name: "forgetful",
      version: "1",
      config: anything,
      open: () => ({
        async process(event, emit) {
          await late?.().catch((error: unknown) => refused.push(error));
          late = () => emit({ type: "late" });
          await new Promise((resolve) => setImmediate(resolve));
          await emit(event);
        },
      }),
    });
    const parts = [start("s", numbers(3)), start("p1", forgetful), start("k", collect(got))];
    await Promise.all(parts.map((part) => part.outcome));
    expect(got.map(({ id, type }) => `${id} ${type}`)).toEqual(["s:1 number", "s:2 number", "s:3 number"]);
    expect(refused.map((error) => (error as FlowctlError).code)).toEqual(Array(2).fill("sdk/emit-too-late"));
  });

  it.each([1, 4])("refuses what comes late of an attempt that failed, %i at a time", async (concurrency) => {
    const onError: OnErrorSpec = { action: "retry", to: "", retries: 1, backoffMs: 1 };
    await apply(spec("s", "source"), spec("p1", "processor", ["s"], { onError }), spec("k", "sink", ["p1"]));
    const got: Event[] = [];
    const refused: unknown[] = [];
    let late: (() => Promise<void>) | undefined;
    const forgetful = defineProcessor({
      name: "forgetful",
      version: "1",
      config: anything,
      concurrency,
      open: () => ({
        async process(event, emit) {
          if (late === undefined) {
            late = () => emit({ type: "late" });
            setImmediate(() => late!().catch((error: unknown) => refused.push(error)));
            throw new Error("not yet");
          }
          await late().catch((error: unknown) => refused.push(error));
          await emit(event);
        },
      }),
    });
    const parts = [start("s", numbers(1)), start("p1", forgetful), start("k", collect(got))];
    await Promise.all(parts.map((part) => part.outcome));
    expect(got.map(({ id }) => id)).toEqual(["s:1"]);
    expect(refused.map((error) => (error as FlowctlError).code)).toEqual(Array(2).fill("sdk/emit-too-late"));
  });

  it.each([1, 4])(
    "lets others have a turn while a processor is busy with slow events, %i at a time",
    async (concurrency) => {
      await apply(spec("s", "source"), spec("p1", "processor", ["s"]), spec("k", "sink", ["p1"]));
      let row = 0;
      let longest = 0;
      const busy = defineProcessor({
        name: "busy",
        version: "1",
        config: anything,
        concurrency,
        open: () => ({
          process() {
            for (const end = performance.now() + 10; performance.now() < end; );
            if (row++ === 0) setImmediate(() => (row = 0));
            longest = Math.max(longest, row);
          },
        }),
      });
      const parts = [start("s", numbers(60)), start("p1", busy), start("k", collect([]))];
      await Promise.all(parts.map((part) => part.outcome));
      expect(longest).toBeLessThan(10);
    },
  );

  it.each([
    [1, 1_000_000],
    [10, 1_000_000],
    [1_000, 1_000_000],
    [1_000, 3_000],
    [1_000, 1],
    [1_000, Number.POSITIVE_INFINITY],
  ])("writes batches of at most %i events and %i bytes, each event once and in order", async (maxEvents, maxBytes) => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"]));
    const batches: (readonly Event[])[] = [];
    const sink = defineSink({
      name: "batches",
      version: "1",
      config: anything,
      batch: { maxEvents, maxBytes },
      open: () => ({ write: async (events) => void batches.push([...events]) }),
    });
    start("s", numbers(2_500));
    expect(await start("k", sink).outcome).toBe("completed");
    expect(numbersOf(batches.flat())).toEqual(oneTo(2_500));
    for (const batch of batches) {
      expect(batch.length).toBeLessThanOrEqual(maxEvents);
      const bytes = batch.reduce((sum, event) => sum + (event as ReceivedEvent).size, 0);
      if (batch.length > 1) expect(bytes).toBeLessThanOrEqual(maxBytes);
    }
  });

  it("acknowledges what a sink has written that takes it out of the batch, also after a failure", async () => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"], { onError: { ...FAIL, action: "drop" } }));
    const got: Event[] = [];
    let failures = 1;
    const greedy = defineSink({
      name: "greedy",
      version: "1",
      config: anything,
      open: () => ({
        async write(events) {
          const taken = (events as Event[]).splice(0);
          if (taken.length > 1 && failures-- > 0) throw new Error("the first batch fails");
          got.push(...taken);
        },
      }),
    });
    start("s", numbers(2_500));
    const sink = start("k", greedy);
    expect(await sink.outcome).toBe("completed");
    expect(numbersOf(got)).toEqual(oneTo(2_500));
  });

  it("takes a source for stopped, and not for failed, that gives up what it waits for when it is told to", async () => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"]));
    const got: Event[] = [];
    start("k", collect(got));
    const source = start(
      "s",
      defineSource<unknown, number>({
        name: "waits",
        version: "1",
        config: anything,
        open: ({ signal }) => ({
          async run(emit) {
            await emit({ json: { n: 1 } }, 1);
            await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
          },
        }),
      }),
    );
    await until(() => got.length === 1);
    source.stop();
    expect(await source.outcome).toBe("stopped");
  });

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

describe("dead letters that a running pipeline is told to keep", () => {
  it("leave a sink that did not listen until then, for one that ran already", async () => {
    const letters: Event[] = [];
    let written = 0;
    let goOn = (): void => undefined;
    const changed = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const source = defineSource<unknown, number>({
      name: "in two parts",
      version: "1",
      config: anything,
      open: () => ({
        async run(emit) {
          for (let n = 1; n <= 10; n++) await emit({ json: { n } }, n);
          await changed;
          for (let n = 11; n <= 20; n++) await emit({ json: { n } }, n);
        },
      }),
    });
    const limp = defineSink({
      name: "limp",
      version: "1",
      config: anything,
      open: () => ({
        async write(events) {
          for (const event of events) if ((event.json() as { n: number }).n === 15) throw new Error("not this one");
          written += events.length;
        },
      }),
    });
    await apply(spec("s", "source"), spec("k", "sink", ["s"]), spec("dead", "sink", ["s"]));
    const parts = [start("s", source), start("k", limp), start("dead", collect(letters))];
    await until(() => written === 10 && letters.length === 10);
    await apply(
      spec("s", "source"),
      spec("k", "sink", ["s"], { onError: { action: "dead_letter", to: "dead", retries: 0, backoffMs: 0 } }),
      spec("dead", "sink", ["s"]),
    );
    const addressOf = async (id: string) =>
      (await pipeline()).components.find((component) => component.id === id)?.instances[0]?.address;
    while ((await addressOf("k")) === "") await new Promise((resolve) => setTimeout(resolve, 10));
    goOn();
    expect(await Promise.all(parts.map((part) => part.outcome))).toEqual(["completed", "completed", "completed"]);
    expect(numbersOf(letters).sort((a, b) => a - b)).toEqual([...oneTo(20), 15].sort((a, b) => a - b));
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

  it("on disk is not delivered twice when the component above is stopped and started again at full speed", async () => {
    const buffer = { type: "disk", maxEvents: 1_000_000, maxBytes: 0, whenFull: "block" } as const;
    await apply(spec("s", "source"), spec("k", "sink", [{ from: "s", types: [], buffer }]));
    const got: Event[] = [];
    const count = 80_000;
    const sink = start("k", collect(got));
    for (let runs = 1; ; runs++) {
      const source = start("s", numbers(count));
      const enough = got.length + 20_000;
      // The last run is left to complete: stopped once all have arrived, it might always be so just before it says so.
      if (enough < count) {
        await Promise.race([until(() => got.length >= enough), source.outcome]);
        source.stop();
      }
      if ((await source.outcome) === "completed") break;
      expect(runs).toBeLessThan(5);
    }
    await sink.outcome;
    expect(new Set(got.map(({ id }) => id)).size).toBe(count);
    expect(got).toHaveLength(count);
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
