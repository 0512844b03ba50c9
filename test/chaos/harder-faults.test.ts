import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { type Part, poll, Rig } from "./rig.ts";

/** Numbered events through real processes under faults that do not kill, or that kill what holds something. */
const fixture = (name: string): string => resolve(import.meta.dirname, "fixtures", name);
const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

let rig: Rig | undefined;
let passed = false;

beforeAll(buildProgram);

afterEach(async () => {
  await rig?.close({ keep: !passed });
  rig = undefined;
  passed = false;
});

function numbers(count: number, rate: number | "unlimited" = "unlimited"): Part {
  return { spec: { id: "numbers", type: "source" }, run: "generator", config: { count, rate } };
}

/** A sink without memory, each of whose instances writes a file of its own. */
function audit(id: string, folder: string, more: Partial<Part["spec"]> = {}): Part {
  return {
    spec: { id, type: "sink", inputs: [{ from: "numbers", types: [] }], ...more },
    run: [fixture("audit-sink.mjs")],
    config: {},
    configOf: (instance) => ({ path: join(folder, `${instance}.txt`) }),
  };
}

/** What each of these sinks has written so far; read on from where the last look ended, as a poll looks every few milliseconds. */
function seenBy(...instances: string[]): number[] {
  return instances.flatMap((instance) => {
    const path = join(rig!.folder, `${instance}.txt`);
    const seen = seenIn.get(path) ?? { bytes: 0, numbers: [] };
    seenIn.set(path, seen);
    if (!existsSync(path) || statSync(path).size === seen.bytes) return seen.numbers;
    const added = readFileSync(path).subarray(seen.bytes);
    // A line that is just being written is not one yet.
    const whole = added.subarray(0, added.lastIndexOf("\n") + 1);
    for (const line of whole.toString().split("\n").slice(0, -1)) seen.numbers.push(Number(line));
    seen.bytes += whole.length;
    return seen.numbers;
  });
}

const seenIn = new Map<string, { bytes: number; numbers: number[] }>();

describe("a receiver that is frozen at full speed", () => {
  it("holds up nobody but itself when its input has a buffer, and has everything once it goes on", async () => {
    const count = 100_000;
    const buffer = { type: "memory", maxEvents: 2 * count, maxBytes: 0, whenFull: "block" } as const;
    rig = await Rig.start("frozen", (folder) => [
      numbers(count),
      audit("other", folder),
      audit("frozen", folder, { inputs: [{ from: "numbers", types: [], buffer }] }),
    ]);
    await poll(() => seenBy("frozen-1").length > count / 10);
    rig.signal("frozen-1", "SIGSTOP");
    const before = seenBy("frozen-1").length;
    expect(before).toBeLessThan(count);
    await poll(() => {
      const seen = seenBy("other-1");
      return seen.length >= count && new Set(seen).size === count;
    });
    expect(seenBy("frozen-1").length).toBe(before);
    rig.signal("frozen-1", "SIGCONT");
    await poll(() => rig!.finished);
    expect(new Set(seenBy("frozen-1"))).toEqual(new Set(oneTo(count)));
    expect(rig.crashes).toEqual([]);
    passed = true;
  });

  it("loses its stream after the keepalive; its siblings get on meanwhile, and then get what it had", async () => {
    const count = 200_000;
    rig = await Rig.start("frozen-replica", (folder) => [
      numbers(count, 20_000),
      audit("shared", folder, { replicas: 2 }),
    ]);
    await poll(() => seenBy("shared-1").length > 5_000 && seenBy("shared-2").length > 5_000);
    rig.signal("shared-1", "SIGSTOP");
    const frozenWith = seenBy("shared-1").length;
    const sibling = seenBy("shared-2").length;
    // More than any window: the sibling does not only finish what it had.
    await poll(() => seenBy("shared-2").length > sibling + 30_000);
    await poll(() => {
      const seen = seenBy("shared-1", "shared-2");
      return seen.length >= count && new Set(seen).size === count;
    });
    expect(seenBy("shared-1").length).toBe(frozenWith);
    rig.signal("shared-1", "SIGCONT");
    await poll(() => rig!.finished);
    expect(new Set(seenBy("shared-1", "shared-2"))).toEqual(new Set(oneTo(count)));
    expect(rig.crashes).toEqual([]);
    passed = true;
  });
});

describe("a control plane that stays away", () => {
  it("is not missed by what runs; positions wait for it, and the end does", async () => {
    const count = 60_000;
    rig = await Rig.start("away", (folder) => [numbers(count, 20_000), audit("sink", folder)]);
    await poll(() => seenBy("sink-1").length > count / 10);
    rig.hold("control-plane");
    await poll(() => seenBy("sink-1").length === count);
    expect(rig.finished).toBe(false);
    rig.release("control-plane");
    await poll(() => rig!.finished);
    expect(seenBy("sink-1").toSorted((a, b) => a - b)).toEqual(oneTo(count));
    expect(rig.restarts("numbers-1")).toBe(0);
    passed = true;
  });

  it("costs repetitions and no event when a source and its sink die before it is back", async () => {
    const count = 60_000;
    rig = await Rig.start("away-and-killed", (folder) => [numbers(count, 20_000), audit("sink", folder)]);
    await poll(() => seenBy("sink-1").length > count / 10);
    rig.hold("control-plane");
    await poll(() => seenBy("sink-1").length > count / 2);
    rig.kill("numbers-1");
    rig.kill("sink-1");
    await poll(() => rig!.restarts("numbers-1") === 1 && rig!.restarts("sink-1") === 1);
    const meanwhile = seenBy("sink-1").length;
    rig.release("control-plane");
    await poll(() => rig!.finished);
    expect(meanwhile).toBeLessThan(count);
    expect(new Set(seenBy("sink-1"))).toEqual(new Set(oneTo(count)));
    passed = true;
  });
});

describe("instances that share their input by key", () => {
  it("keep the order of every key at the sink while some join, some leave and some are killed", async () => {
    const count = 120_000;
    const keys = 16;
    const template = { n: "sequence", key: `sequence % ${keys}` };
    rig = await Rig.start("keyed", (folder) => [
      { ...numbers(count), config: { count, rate: 20_000, template } },
      {
        spec: {
          id: "keyed",
          type: "sink",
          inputs: [{ from: "numbers", types: [] }],
          partitionBy: "payload.key",
          replicas: 2,
        },
        run: [fixture("keyed-sink.mjs")],
        config: { path: join(folder, "keyed.txt") },
      },
    ]);
    const lines = (): string[] => {
      const path = join(rig!.folder, "keyed.txt");
      return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
    };
    const due = async (share: number): Promise<void> => poll(() => lines().length >= count * share);
    await due(0.1);
    await rig.scale("keyed", 4);
    await due(0.25);
    rig.kill("keyed-3");
    await due(0.4);
    await rig.scale("keyed", 2);
    await due(0.55);
    rig.kill("keyed-1");
    await due(0.7);
    await rig.scale("keyed", 3);
    rig.kill("keyed-2");
    await poll(() => rig!.finished);
    const first = new Map<string, number>();
    const seen = new Set<number>();
    for (const line of lines()) {
      const [key, n] = line.split(" ") as [string, string];
      if (seen.has(Number(n))) continue;
      seen.add(Number(n));
      expect(Number(n), `key ${key}`).toBeGreaterThan(first.get(key) ?? 0);
      first.set(key, Number(n));
    }
    expect(seen.size).toBe(count);
    expect(first.size).toBe(keys);
    expect(rig.crashes).toEqual([]);
    passed = true;
  });
});

describe("a buffer on disk", () => {
  it("still delivers every number when the program that holds it is killed again and again", async () => {
    const count = 40_000;
    const buffer = { type: "disk", maxEvents: 2 * count, maxBytes: 0, whenFull: "block" } as const;
    rig = await Rig.start("disk-buffer", (folder) => [
      numbers(count),
      audit("fast", folder),
      audit("held", folder, { inputs: [{ from: "numbers", types: [], buffer }] }),
    ]);
    rig.hold("held-1");
    for (const share of [0.2, 0.5, 0.8]) {
      await poll(() => seenBy("fast-1").length >= count * share);
      rig.kill("numbers-1");
      await poll(() => rig!.restarts("numbers-1") > 0);
    }
    // Everything is in the buffer, or will be; now the sink comes, and the holder dies while it hands over.
    rig.release("held-1");
    await poll(() => seenBy("held-1").length > count / 4 || rig!.finished);
    rig.kill("numbers-1");
    await poll(() => rig!.finished);
    expect(new Set(seenBy("fast-1"))).toEqual(new Set(oneTo(count)));
    expect(new Set(seenBy("held-1"))).toEqual(new Set(oneTo(count)));
    expect(rig.crashes).toEqual([]);
    passed = true;
  });
});
