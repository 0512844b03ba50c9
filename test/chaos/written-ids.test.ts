import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";

const writer = resolve(import.meta.dirname, "fixtures/once-writer.mjs");

/** Runs the writer to its end, or to the moment when it kills itself; gives the signal that ended it. */
function run(folder: string, order: string, dieAt: string): Promise<string | null> {
  return new Promise((done, fail) => {
    execFile(process.execPath, [writer, folder, order, dieAt], (error, _stdout, stderr) => {
      if (error !== null && error.signal !== "SIGKILL") fail(new Error(stderr));
      else done(error?.signal ?? null);
    });
  });
}

/** How often each event stands outside after a writer was killed at a step and one more ran to its end. */
async function timesWritten(order: string, dieAt: string): Promise<Map<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-once-"));
  try {
    expect(await run(folder, order, dieAt)).toBe("SIGKILL");
    expect(await run(folder, order, "never")).toBeNull();
    const times = new Map<string, number>();
    for (const id of (await readFile(join(folder, "outside.txt"), "utf8")).match(/^\d+-\d+$/gm) ?? []) {
      times.set(id, (times.get(id) ?? 0) + 1);
    }
    return times;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

beforeAll(buildProgram);

describe("a sink that remembers what it wrote, killed by kill -9", () => {
  it.each(["before", "between", "after"])(
    "%s a write that it had begun, has written every event once",
    async (step) => {
      const times = await timesWritten("begin-first", step);
      expect(times.size).toBe(50);
      expect(new Set(times.values())).toEqual(new Set([1]));
    },
  );

  it.each(["before", "after"])("%s a write that it adds later, has written every event once", async (step) => {
    const times = await timesWritten("write-first", step);
    expect(times.size).toBe(50);
    expect(new Set(times.values())).toEqual(new Set([1]));
  });

  it("between a write and what it adds, has written that batch twice and every other event once", async () => {
    const times = await timesWritten("write-first", "between");
    expect(times.size).toBe(50);
    for (const [id, count] of times) expect(count, id).toBe(id.startsWith("3-") ? 2 : 1);
  });
});
