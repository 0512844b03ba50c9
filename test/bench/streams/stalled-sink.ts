import { setTimeout as wait } from "node:timers/promises";
import { processorSeconds, residentMemory } from "../process-use.ts";
import type { Row } from "../results-table.ts";
import { STALLED } from "./plans.ts";
import { Programs } from "./programs.ts";
import { type Parts, startParts } from "./start-parts.ts";

const STALL_PATIENCE_MS = 60_000;
const SAMPLE_MS = 1_000;

interface Stalled {
  readonly parts: Parts;
  readonly pids: ReadonlyMap<string, number>;
  /** MB of each program when everything had come to a standstill. */
  readonly before: ReadonlyMap<string, number>;
}

/**
 * How much the memory of the program that grows most grows while a sink does not finish what it began to write, from the
 * moment when everything stands still. The rounds stand still side by side: that needs no processor.
 */
export async function measureStalledSink(rounds: number, seconds = 60): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const stalled: Stalled[] = [];
    try {
      for (let round = 1; round <= rounds; round++) stalled.push(await startStalled(programs));
      const most = stalled.map(({ before }) => new Map(before));
      const until = performance.now() + seconds * 1000;
      while (performance.now() < until) {
        await wait(SAMPLE_MS);
        for (const [index, { pids }] of stalled.entries()) raise(most[index]!, memoryOf(pids));
      }
      const growths = stalled.map(({ before }, index) => growthOf(before, most[index]!));
      const sizes = stalled.map(({ before }) => Math.max(...before.values()));
      const what = `sink stalled for ${seconds} s`;
      return [
        { what, unit: "MB", measured: { name: "growth of one process", samples: growths }, goal: { atMost: 30 } },
        { what, unit: "MB", measured: { name: "largest process at its beginning", samples: sizes } },
      ];
    } finally {
      await Promise.all(stalled.map(({ parts }) => parts.dispose()));
    }
  });
}

async function startStalled(programs: Programs): Promise<Stalled> {
  const pids = new Map<string, number>();
  const options = { program: "flowctl", plan: STALLED, count: Number.MAX_SAFE_INTEGER, size: 180 } as const;
  const parts = await startParts(programs, options, pids, () => undefined);
  try {
    await parts.crew.during(standstill(pids), "coming to a standstill", STALL_PATIENCE_MS);
    return { parts, pids, before: memoryOf(pids) };
  } catch (error) {
    await parts.dispose();
    throw error;
  }
}

/** Resolves when nobody has done anything to speak of for two seconds in a row. */
async function standstill(pids: ReadonlyMap<string, number>): Promise<void> {
  let quiet = 0;
  for (let before = secondsOf(pids); quiet < 2; ) {
    await wait(SAMPLE_MS);
    const now = secondsOf(pids);
    quiet = now - before < 0.1 ? quiet + 1 : 0;
    before = now;
  }
}

function secondsOf(pids: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const pid of pids.values()) total += processorSeconds(pid) ?? 0;
  return total;
}

function memoryOf(pids: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...pids].map(([id, pid]) => [id, residentMemory(pid)?.all ?? 0]));
}

function raise(most: Map<string, number>, now: ReadonlyMap<string, number>): void {
  for (const [id, memory] of now) most.set(id, Math.max(most.get(id) ?? 0, memory));
}

function growthOf(before: ReadonlyMap<string, number>, most: ReadonlyMap<string, number>): number {
  return Math.max(...[...most].map(([id, memory]) => memory - (before.get(id) ?? 0)));
}
