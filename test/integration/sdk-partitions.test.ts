import { describe, expect, it } from "vitest";
import { type ComponentDefinition, defineSink, defineSource, type Event } from "../../src/sdk/index.ts";
import { anything, apply, collect, numbers, oneTo, pipeline, spec, start, until, useSdkWorld } from "./sdk-world.ts";

useSdkWorld();

const shards = ["a", "b", "c", "d"];

/** Each shard gives the numbers 1 to `count`, one a few milliseconds. */
function sharded(count: number, identity = ""): ComponentDefinition {
  return defineSource<unknown, number>({
    name: "sharded",
    version: "1",
    config: anything,
    partitions: () => shards.map((id) => ({ id, identity })),
    open: ({ partition, position = 0, signal }) => ({
      async run(emit) {
        for (let n = position + 1; n <= count && !signal.aborted; n++) {
          await emit({ type: partition.id, json: { n } }, n);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      },
    }),
  });
}

const seen = (events: readonly Event[]) =>
  Object.fromEntries(
    shards.map((shard) => [
      shard,
      events.filter(({ type }) => type === shard).map((event) => (event.json() as { n: number }).n),
    ]),
  );

const owners = async () => {
  const record = await pipeline();
  return new Set(record.components.find(({ id }) => id === "s")?.partitions?.map(({ instanceId }) => instanceId));
};

describe("the partitions of a source", () => {
  it("move between instances without a gap or a repetition, in order, also at a sink without a memory", async () => {
    const apart = async (replicas: number) =>
      await apply(spec("s", "source", [], { replicas }), spec("k", "sink", ["s"]));
    const count = 300;
    const got: Event[] = [];
    await apart(1);
    const first = start("s", sharded(count));
    const sink = start("k", collect(got));
    await until(() => got.length >= 40);
    await apart(3);
    const others = [start("s", sharded(count), 2), start("s", sharded(count), 3)];
    await until(async () => (await owners()).size === 3);
    await apart(1);
    for (const other of others) other.stop();
    await Promise.all(others.map(({ outcome }) => outcome));
    expect(await Promise.all([first.outcome, sink.outcome])).toEqual(["completed", "completed"]);
    expect(seen(got)).toEqual(Object.fromEntries(shards.map((shard) => [shard, oneTo(count)])));
    expect(new Set(got.map(({ id }) => id)).size).toBe(got.length);
  });

  it("under another identity are read from the beginning, with other ids", async () => {
    await apply(spec("s", "source"), spec("k", "sink", ["s"]));
    const got: Event[] = [];
    const first = [start("s", sharded(3, "old")), start("k", collect(got))];
    await Promise.all(first.map(({ outcome }) => outcome));
    const again = start("s", sharded(3, "new"));
    // A sink that comes before its source has begun anew finds that everything above has completed.
    await until(async () => (await pipeline()).components[0]?.instances[0]?.state !== "completed");
    const sink = start("k", collect(got));
    await Promise.all([again.outcome, sink.outcome]);
    expect(seen(got)).toEqual(Object.fromEntries(shards.map((shard) => [shard, [...oneTo(3), ...oneTo(3)]])));
    expect(new Set(got.map(({ id }) => id)).size).toBe(24);
  });

  it("are one where a source names none: a second instance stands by, and completes with the first", async () => {
    await apply(spec("s", "source", [], { replicas: 2 }), spec("k", "sink", ["s"]));
    const got: Event[] = [];
    const parts = [start("s", numbers(100), 2), start("s", numbers(100), 1), start("k", collect(got))];
    expect(await Promise.all(parts.map(({ outcome }) => outcome))).toEqual(["completed", "completed", "completed"]);
    expect(got).toHaveLength(100);
  });
});

describe("a position that is one object, moved on", () => {
  it("is stored as it was with the last event that was acknowledged", async () => {
    const opened: unknown[] = [];
    const committed: number[] = [];
    const moving = defineSource<unknown, { n: number }>({
      name: "moving",
      version: "1",
      config: anything,
      open: ({ position = { n: 0 } }) => {
        opened.push({ ...position });
        return {
          async run(emit) {
            while (position.n < 10) {
              position.n++;
              await emit({ json: { n: position.n } }, position);
              // What is acknowledged soon after a position was stored waits a moment for the next, and the object moves on meanwhile.
              if (position.n === 1) await until(() => committed.length > 0);
              if (position.n === 3) await until(() => written >= 3);
            }
          },
          committed: async ({ n }) => void committed.push(n),
        };
      },
    });
    let written = 0;
    let letGo: (() => void) | undefined;
    const slow = defineSink({
      name: "slow",
      version: "1",
      config: anything,
      open: () => ({
        async write(events) {
          if (events.every((event) => (event.json() as { n: number }).n <= 3)) {
            written += events.length;
            return;
          }
          await new Promise<void>((resolve) => (letGo = resolve));
        },
      }),
    });
    await apply(spec("s", "source"), spec("k", "sink", ["s"]));
    start("k", slow);
    const source = start("s", moving);
    await until(() => letGo !== undefined && committed.at(-1)! >= 3);
    source.stop();
    start("s", moving);
    await until(() => opened.length === 2);
    expect(opened).toEqual([{ n: 0 }, { n: 3 }]);
    expect(committed.at(-1)).toBe(3);
    letGo?.();
  });
});
