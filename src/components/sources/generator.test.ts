import { describe, expect, it } from "vitest";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import type { ComponentDefinition } from "../../sdk/index.ts";
import { type PartitionEmitted, payloadJson, payloadText, runPartitions } from "../component-harness.fake.ts";
import { createGenerator } from "./generator.ts";

const template = {
  n: "sequence",
  kind: "pick(['a', 'b', 'c'])",
  size: "random_int(1, 6)",
  share: "random()",
  at: "now",
  fixed: 7,
};

function generated(
  config: Record<string, unknown>,
  positions?: Readonly<Record<string, unknown>>,
  only?: (shard: string) => boolean,
): Promise<PartitionEmitted[]> {
  const options = {
    config: { rate: "unlimited", ...config },
    ...(positions === undefined ? {} : { positions }),
    ...(only === undefined ? {} : { only }),
  };
  return runPartitions(createGenerator(fakeClock(1_000)), options);
}

function values(emitted: readonly PartitionEmitted[]): Record<string, unknown>[] {
  return emitted.map(({ event }) => payloadJson(event) as Record<string, unknown>);
}

/** The position of each shard after some events. */
function positionsAfter(emitted: readonly PartitionEmitted[]): Record<string, unknown> {
  return Object.fromEntries(emitted.map(({ partition, position }) => [partition, position]));
}

describe("generator", () => {
  it("numbers events from 1 to count", async () => {
    const out = await generated({ count: 3, type: "tick" });
    expect(values(out)).toEqual([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }]);
    expect(out[0]?.event).toMatchObject({ type: "tick", contentType: "application/json", timestamp: new Date(1_000) });
  });

  it("fills the template", async () => {
    const [first] = values(await generated({ count: 1, template }));
    expect(first).toMatchObject({ n: 1, fixed: 7, at: "1970-01-01T00:00:01.000Z" });
    expect(["a", "b", "c"]).toContain(first?.kind);
  });

  it("keeps random values in their bounds, reaching both ends", async () => {
    const all = values(await generated({ count: 500, template }));
    expect(new Set(all.map(({ size }) => size))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
    expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(["a", "b", "c"]));
    for (const { share } of all) expect(share).toSatisfy((value: number) => value >= 0 && value < 1);
    expect(new Set(all.map(({ share }) => share)).size).toBeGreaterThan(495);
  });

  it("makes the same events for the same seed, and others for another", async () => {
    const first = await generated({ count: 20, template, seed: 5 });
    expect(await generated({ count: 20, template, seed: 5 })).toEqual(first);
    expect(await generated({ count: 20, template, seed: 6 })).not.toEqual(first);
  });

  it("resumed at any positions, makes exactly the rest", async () => {
    const whole = await generated({ count: 1_000, template });
    for (const done of [1, 63, 64, 65, 700, 999, 1_000]) {
      expect(await generated({ count: 1_000, template }, positionsAfter(whole.slice(0, done)))).toEqual(
        whole.slice(done),
      );
    }
  });

  it("makes every number once, however its shards move between instances", async () => {
    const count = 2_000;
    const whole = await generated({ count });
    const made: PartitionEmitted[] = [];
    // Each shard is begun by one instance and ended by another.
    for (const shards of [(id: number) => id < 5, (id: number) => id >= 5]) {
      const part = await generated({ count }, undefined, (id) => shards(Number(id)));
      made.push(...part.slice(0, part.length / 3));
    }
    const positions = positionsAfter(made);
    for (const rest of [0, 1, 2])
      made.push(...(await generated({ count }, positions, (id) => Number(id) % 3 === rest)));
    const byNumber = (a: PartitionEmitted, b: PartitionEmitted): number => Number(a.position) - Number(b.position);
    expect(made.sort(byNumber)).toEqual(whole);
  });

  it("begins anew with another seed, and goes on with another rate, count or template", () => {
    const { definition } = createGenerator(fakeClock()) as Extract<ComponentDefinition, { type: "source" }>;
    const identities = (config: object): unknown =>
      definition.partitions?.({ config: definition.config!.parse(config) });
    const before = identities({ seed: 1, count: 5 });
    expect(identities({ seed: 2, count: 5 })).not.toEqual(before);
    expect(identities({ seed: 1, count: 9, rate: 7, template, size: 50, type: "other" })).toEqual(before);
  });

  it.each([0, 1, 13, 14, 28, 29, 30, 31, 32, 200])("fills payloads up to %i bytes", async (size) => {
    for (const config of [{}, { template: {} }, { template: { a: "'é'" } }]) {
      const [out] = await generated({ count: 1, size, ...config });
      const text = payloadText(out!.event);
      expect(() => JSON.parse(text)).not.toThrow();
      expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(size);
      if (size > 60) expect(Buffer.byteLength(text)).toBe(size);
    }
  });
});

/** A generator that runs on a clock of its own. */
class Paced {
  readonly clock: FakeClock = fakeClock();
  readonly stop = new AbortController();
  readonly done: Promise<PartitionEmitted[]>;
  made = 0;
  hold: Promise<void> | undefined;

  constructor(config: Record<string, unknown>, only?: (shard: string) => boolean) {
    this.done = runPartitions(createGenerator(this.clock), {
      config,
      signal: this.stop.signal,
      ...(only === undefined ? {} : { only }),
      onEmit: async () => {
        this.made += 1;
        await this.hold;
      },
    });
  }
}

describe("the pace of a generator", () => {
  it.each([
    [10, 10],
    [0.5, 0.5],
    [2_000, 2_000],
  ])("is %d events a second", async (rate, perSecond) => {
    const paced = new Paced({ rate });
    for (let second = 1; second <= 4; second++) {
      for (let step = 0; step < 100; step++) await paced.clock.advance(10);
      expect(paced.made).toBeGreaterThanOrEqual(Math.floor(second * perSecond));
      expect(paced.made).toBeLessThanOrEqual(Math.ceil(second * perSecond) + 1);
    }
    paced.stop.abort();
    await paced.done;
  });

  it("is shared between instances", async () => {
    const paced = new Paced({ rate: 10 }, (shard) => Number(shard) % 2 === 1);
    await paced.clock.advance(2_000);
    expect(paced.made).toBe(11);
    paced.stop.abort();
    await paced.done;
  });

  it("makes up for a short stop of the pipeline, but not for a long one", async () => {
    const paced = new Paced({ rate: 100 });
    await paced.clock.advance(1_000);
    let release = (): void => undefined;
    paced.hold = new Promise((resolve) => {
      release = resolve;
    });
    await paced.clock.advance(60_000);
    const before = paced.made;
    paced.hold = undefined;
    release();
    for (let step = 0; step < 20; step++) await paced.clock.advance(1);
    expect(paced.made - before).toBeGreaterThan(50);
    expect(paced.made - before).toBeLessThan(150);
    paced.stop.abort();
    await paced.done;
  });

  it("ends at once when it is told to stop", async () => {
    const paced = new Paced({ rate: 0.001 });
    await paced.clock.advance(10);
    paced.stop.abort();
    expect(await paced.done).toHaveLength(1);
  });
});
