import { describe, expect, it } from "vitest";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import type { InstanceInfo } from "../../sdk/index.ts";
import { type Emitted, payloadJson, payloadText, runSource } from "../component-harness.fake.ts";
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
  position?: unknown,
  instance?: Partial<InstanceInfo>,
): Promise<Emitted[]> {
  const options = {
    config: { rate: "unlimited", ...config },
    position,
    ...(instance === undefined ? {} : { instance }),
  };
  return runSource(createGenerator(fakeClock(1_000)), options);
}

function values(emitted: readonly Emitted[]): Record<string, unknown>[] {
  return emitted.map(({ event }) => payloadJson(event) as Record<string, unknown>);
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

  it("resumed at any position, makes exactly the rest", async () => {
    const whole = await generated({ count: 12, template });
    for (const [index, { position }] of whole.entries()) {
      expect(await generated({ count: 12, template }, position)).toEqual(whole.slice(index + 1));
    }
  });

  it("shares the numbers between its instances", async () => {
    const numbers: unknown[] = [];
    for (const index of [1, 2, 3]) {
      const instance = { index, replicas: 3 };
      const whole = await generated({ count: 10 }, undefined, instance);
      numbers.push(...values(whole).map(({ sequence }) => sequence));
      expect(await generated({ count: 10 }, whole[1]?.position, instance)).toEqual(whole.slice(2));
    }
    expect(numbers.sort((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
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
  readonly done: Promise<Emitted[]>;
  made = 0;
  hold: Promise<void> | undefined;

  constructor(config: Record<string, unknown>, instance?: Partial<InstanceInfo>) {
    this.done = runSource(createGenerator(this.clock), {
      config,
      signal: this.stop.signal,
      ...(instance === undefined ? {} : { instance }),
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
    const paced = new Paced({ rate: 10 }, { index: 2, replicas: 2 });
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
