import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { temporaryDirectory } from "../components/component-harness.fake.ts";
import { StateLog } from "./state-log.ts";

async function entriesOf(directory: string, capacity = 100): Promise<readonly number[]> {
  const { log, entries } = await StateLog.open<number>({ directory, name: "log", capacity }, () => 1);
  await log.close();
  return entries;
}

async function append(directory: string, values: readonly number[], capacity = 100): Promise<void> {
  const { log } = await StateLog.open<number>({ directory, name: "log", capacity }, () => 1);
  for (const value of values) await log.append(value, 1);
  await log.close();
}

it("gives back what was appended, in order, over any number of openings", async () => {
  await using directory = await temporaryDirectory();
  await append(directory.path, [1, 2]);
  await append(directory.path, [3]);
  expect(await entriesOf(directory.path)).toEqual([1, 2, 3]);
});

it("keeps the last `capacity` records and at most twice that, in at most two files", async () => {
  await using directory = await temporaryDirectory();
  const all: number[] = [];
  for (let n = 0; n < 40; n++) {
    await append(directory.path, [n], 5);
    all.push(n);
    const entries = await entriesOf(directory.path, 5);
    expect(entries).toEqual(all.slice(-entries.length));
    expect(entries.length).toBeGreaterThanOrEqual(Math.min(5, all.length));
    expect(entries.length).toBeLessThanOrEqual(10);
    expect((await readdir(directory.path)).length).toBeLessThanOrEqual(2);
  }
});

it("cut at any byte, holds the whole records before the cut, and can be appended to", async () => {
  await using directory = await temporaryDirectory();
  await append(directory.path, [11, 22, 33]);
  const file = join(directory.path, "log-1.log");
  const whole = await readFile(file);
  for (let cut = 0; cut <= whole.length; cut++) {
    await writeFile(file, whole.subarray(0, cut));
    await append(directory.path, [44]);
    expect(await entriesOf(directory.path)).toEqual([...[11, 22, 33].slice(0, Math.floor(cut / 3)), 44]);
  }
});

it("keeps what stands behind a record that is damaged", async () => {
  await using directory = await temporaryDirectory();
  await append(directory.path, [11, 22, 33]);
  await writeFile(join(directory.path, "log-1.log"), "11\n2\0\n33\n");
  await append(directory.path, [44]);
  expect(await entriesOf(directory.path)).toEqual([11, 33, 44]);
});

it("takes the last record back, also one from before it was opened", async () => {
  await using directory = await temporaryDirectory();
  await append(directory.path, [1, 2, 3]);
  const { log } = await StateLog.open<number>({ directory: directory.path, name: "log", capacity: 100 }, () => 1);
  await log.retract();
  await log.append(4, 1);
  await log.retract();
  await log.append(5, 1);
  await log.close();
  expect(await entriesOf(directory.path)).toEqual([1, 2, 5]);
});
