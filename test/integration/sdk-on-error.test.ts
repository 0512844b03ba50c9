import { describe, expect, it } from "vitest";
import type { OnErrorSpec } from "../../src/protocol/records.ts";
import type { ComponentDefinition } from "../../src/sdk/component.ts";
import { defineProcessor, defineSink, type Event } from "../../src/sdk/index.ts";
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
      message: expect.stringContaining('event "s:3" could not be processed: three is bad'),
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
      expect(dead[0]).toMatchObject({ id: "s:3", type: "number", sourceComponentId: "s" });
      expect(dead[0]?.metadata).toMatchObject({
        "flowctl.dead_letter.component": "x",
        "flowctl.dead_letter.attempts": "3",
        "flowctl.dead_letter.reason": expect.stringContaining(
          type === "processor" ? "three is bad" : "cannot write s:3",
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

  it.each(["processor", "sink"] as const)(
    "stops when it is told to while a %s waits to try again, and nothing is lost or comes twice",
    async (type) => {
      const onError: OnErrorSpec = { action: "drop", to: "", retries: 5, backoffMs: 3_600_000 };
      const got: Event[] = [];
      const attempts = { count: 0 };
      const isBad = (event: Event): boolean => bad(event) && ++attempts.count > 0;
      if (type === "sink") await apply(spec("s", "source"), spec("x", "sink", ["s"], { onError }));
      else {
        await apply(spec("s", "source"), spec("x", "processor", ["s"], { onError }), spec("k", "sink", ["x"]));
        start("k", collect(got));
      }
      const first = start("x", type === "sink" ? collect(got, isBad) : failing(attempts));
      start("s", numbers(5));
      await until(() => attempts.count > 0);
      first.stop();
      expect(await first.outcome).toBe("stopped");
      const second = start("x", type === "sink" ? collect(got) : failing(attempts, 0));
      expect(await second.outcome).toBe("completed");
      expect(numbersOf(got)).toEqual([1, 2, 3, 4, 5]);
    },
  );

  it.each([
    ["processor", "drop", 5],
    ["processor", "fail", 1],
    ["sink", "drop", 5],
    ["sink", "drop", 1],
    ["sink", "fail", 5],
  ] as const)("what a %s gives up as it stops is not lost, under %s (%i events)", async (type, action, count) => {
    const got: Event[] = [];
    let begun = false;
    const givesUp = (signal: AbortSignal): Promise<void> => {
      begun = true;
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error("given up", { cause: signal.reason }))),
      );
    };
    const common = { name: "gives-up", version: "1", config: anything };
    const onError: OnErrorSpec = { ...FAIL, action };
    await apply(spec("s", "source"), spec("x", type, ["s"], { onError }), spec("k", "sink", ["s"]));
    start("k", collect([]));
    start("s", numbers(count));
    const first = start(
      "x",
      type === "sink"
        ? defineSink({ ...common, open: ({ signal }) => ({ write: () => givesUp(signal) }) })
        : defineProcessor({ ...common, open: ({ signal }) => ({ process: () => givesUp(signal) }) }),
    );
    await until(() => begun);
    first.stop();
    expect(await first.outcome).toBe("stopped");
    const process = (event: Event): void => void got.push(event);
    const second = type === "sink" ? collect(got) : defineProcessor({ ...common, open: () => ({ process }) });
    expect(await start("x", second).outcome).toBe("completed");
    expect(numbersOf(got)).toEqual(oneTo(count));
  });

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
