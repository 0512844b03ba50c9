import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Part, poll, Rig } from "./rig.ts";

/**
 * Numbered events through real processes while something is killed again and again: afterwards every number is in every
 * sink, once where the sink remembers, and the test says how many came twice where it does not.
 */
const auditSink = resolve(import.meta.dirname, "fixtures/audit-sink.mjs");

function diamond(folder: string, count: number, rate: number | "unlimited"): Part[] {
  return [
    { spec: { id: "numbers", type: "source" }, run: "generator", config: { count, rate, size: 100 } },
    {
      spec: { id: "all", type: "processor", inputs: [{ from: "numbers", types: [] }] },
      run: "filter",
      config: { where: "payload.sequence > 0" },
    },
    {
      spec: { id: "doubled", type: "processor", inputs: [{ from: "numbers", types: [] }] },
      run: "map",
      config: { set: { doubled: "payload.sequence * 2" } },
    },
    {
      spec: {
        id: "once",
        type: "sink",
        inputs: [
          { from: "all", types: [] },
          { from: "doubled", types: [] },
        ],
      },
      run: "file",
      config: { path: join(folder, "once.jsonl") },
    },
    {
      spec: { id: "audit", type: "sink", inputs: [{ from: "all", types: [] }] },
      run: [auditSink],
      config: { path: join(folder, "audit.txt") },
    },
  ];
}

function numbersIn(path: string): number[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (line.startsWith("{") ? (JSON.parse(line) as { sequence: number }).sequence : Number(line)));
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

/** A small generator of repeatable choices (mulberry32). */
function choices(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

describe("numbered events", () => {
  let rig: Rig | undefined;
  let passed = false;

  afterEach(async () => {
    await rig?.close({ keep: !passed });
    rig = undefined;
    passed = false;
  });

  /** Runs to the end, killing one victim each time the audit file has grown by another share. */
  async function survive(
    count: number,
    kills: number,
    pick: (names: readonly string[], turn: number) => string,
    signal: NodeJS.Signals,
  ): Promise<number> {
    rig = await Rig.start("numbered", (folder) => diamond(folder, count, "unlimited"));
    const current = rig;
    const audit = join(current.folder, "audit.txt");
    const total = numbersLength(count);
    for (let turn = 1; turn <= kills; turn++) {
      const due = (total * turn) / (kills + 2);
      await poll(() => sizeOf(audit) >= due || current.finished);
      current.kill(pick(current.names, turn), signal);
    }
    await poll(() => current.finished);
    const expected = Array.from({ length: count }, (_, i) => i + 1);
    const once = numbersIn(join(current.folder, "once.jsonl")).sort((a, b) => a - b);
    const seen = numbersIn(audit);
    expect(new Set(seen)).toEqual(new Set(expected));
    expect(once).toEqual(expected.flatMap((n) => [n, n]));
    // A control plane that was killed last may just be coming back.
    await poll(
      async () =>
        await current.pipeline().then(
          ({ state }) => state === "completed",
          () => false,
        ),
    );
    expect(current.crashes).toEqual([]);
    expect(current.names.reduce((sum, name) => sum + current.restarts(name), 0)).toBeGreaterThanOrEqual(
      Math.ceil(kills / 2),
    );
    console.log(`${count} events, ${kills} × ${signal}: ${seen.length - count} came twice to the sink without memory`);
    passed = true;
    return seen.length - count;
  }

  it("all arrive, once where the sink remembers, when any one of the programs is killed again and again", async () => {
    const choose = choices(7);
    await survive(30_000, 12, (names) => names[choose(names.length)]!, "SIGKILL");
  });

  it.each(["numbers-1", "all-1", "doubled-1", "once-1", "audit-1", "control-plane"])(
    "all arrive when %s is killed",
    async (victim) => {
      await survive(30_000, 3, () => victim, "SIGKILL");
    },
  );

  it.each(["numbers-1", "all-1", "doubled-1", "once-1", "audit-1"])(
    "all arrive, each once, when %s is asked to stop at full speed",
    async (victim) => {
      expect(await survive(60_000, 3, () => victim, "SIGTERM")).toBe(0);
    },
  );

  it("all arrive when everything is killed at once, twice", async () => {
    let turn = 0;
    rig = await Rig.start("all-at-once", (folder) => diamond(folder, 20_000, "unlimited"));
    const current = rig;
    const audit = join(current.folder, "audit.txt");
    for (const share of [0.3, 0.6]) {
      await poll(() => sizeOf(audit) >= numbersLength(20_000) * share || current.finished);
      for (const name of current.names) current.kill(name);
      turn++;
    }
    expect(turn).toBe(2);
    await poll(() => current.finished);
    const expected = Array.from({ length: 20_000 }, (_, i) => i + 1);
    expect(numbersIn(join(current.folder, "once.jsonl")).sort((a, b) => a - b)).toEqual(
      expected.flatMap((n) => [n, n]),
    );
    expect(new Set(numbersIn(audit))).toEqual(new Set(expected));
    passed = true;
  });
});

/** Bytes that the numbers 1 to `count` take, one a line. */
function numbersLength(count: number): number {
  let bytes = 0;
  for (let n = 1; n <= count; n++) bytes += String(n).length + 1;
  return bytes;
}
