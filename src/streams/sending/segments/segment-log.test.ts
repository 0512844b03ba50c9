import { cp, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OverwrittenPool } from "../overwritten-pool.fake.ts";
import { FlakyDisk } from "./flaky-disk.fake.ts";
import { append, encode, range, take } from "./numbered-runs.fake.ts";
import { SegmentLog, type SegmentLogOptions } from "./segment-log.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-segments-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function segmentsOf(path: string): Promise<string[]> {
  return (await readdir(path)).filter((name) => name.endsWith(".segment")).sort();
}

/** Writes over a byte of a file. */
async function damage(path: string, at: number): Promise<void> {
  const file = await open(path, "r+");
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([buffer[0]! ^ 0xff]), 0, 1, at);
  await file.close();
}

async function withLog<T>(options: SegmentLogOptions, work: (log: SegmentLog) => Promise<T>): Promise<T> {
  const log = await SegmentLog.open(folder, options);
  try {
    return await work(log);
  } finally {
    await log.close();
  }
}

type Step =
  | { readonly kind: "append"; readonly count: number }
  | { readonly kind: "flush" | "begin to flush" | "save" | "cut power" | "reopen" }
  | { readonly kind: "take" | "skip" | "release"; readonly count: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 12 }) }),
    },
    {
      // Too large to be copied.
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 190, max: 220 }) }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("flush" as const, "begin to flush" as const) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("take" as const), count: fc.integer({ min: 1, max: 20 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("skip" as const), count: fc.integer({ min: 1, max: 5 }) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("release" as const), count: fc.integer({ min: 1, max: 30 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("save", "cut power", "reopen") }) },
  ),
  { minLength: 1, maxLength: 60 },
);

describe("a segment log", () => {
  it("gives back in order what was confirmed, whatever reads and writes fall short and whatever power cuts tear", async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.integer(), async (list, seed) => {
        const own = await mkdtemp(join(folder, "log-"));
        await runModel(own, list, diceOf(seed));
        await rm(own, { recursive: true });
      }),
      { numRuns: 150 },
    );
  });

  it("gives what was read from memory and from the disk in one order, when the reader falls behind and catches up", async () => {
    const memory = new OverwrittenPool();
    await withLog({ memory }, async (log) => {
      const expected = range(0, 200_000);
      let got: number[] = [];
      for (let n = 0; n < 200_000; n += 5_000) {
        // Some of a size of which several are read at once, and one that is larger than what is read at once.
        for (const [from, count] of [
          [0, 1_000],
          [1_000, 100],
          [1_100, 900],
          [2_000, 3_000],
        ] as const) {
          memory.append(log, encode(n + from, count, 100), count);
          await log.flush();
        }
        if (n % 10_000 === 0) got.push(...(await take(log, 900, memory)));
        await log.releaseTo(log.readPosition);
      }
      got = got.concat(await take(log, undefined, memory));
      expect(got).toEqual(expected);
      // What was written last, 8 MiB of it, and what is being written and read.
      expect(memory.given.size).toBeLessThan(90);
    });
  });

  it("keeps no more memory for the newest when each lies in a piece of its own", async () => {
    const memory = new OverwrittenPool();
    await withLog({ memory }, async (log) => {
      for (let n = 0; n < 300; n++) {
        memory.append(log, encode(n, 1), 1);
        await log.flush();
      }
      // 8 MiB of the smallest pieces there are.
      expect(memory.given.size).toBeLessThan(70);
      expect(await take(log, undefined, memory)).toEqual(range(0, 300));
    });
  });

  it("keeps nothing in memory for what is on the disk and was not read", async () => {
    await withLog({ segmentBytes: 1024 * 1024 }, async (log) => {
      const write = async (events: number): Promise<void> => {
        const bytes = encode(0, 100, 30);
        for (let n = 0; n < events; n += 100) {
          log.appendRun(bytes, 0, bytes.length, 100);
          if (n % 10_000 === 0) await log.flush();
        }
        await log.flush();
      };
      await write(600_000);
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      await write(1_200_000);
      collectGarbage();
      expect(log.readable).toBe(1_800_000);
      // One number for each would be 9.6 MB more.
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(5e6);
    });
  });

  it("does not confirm after a wait for the disk that failed, though a later one would succeed", async () => {
    const disk = new FlakyDisk(() => 0.9);
    await withLog({ openFile: disk.openFile }, async (log) => {
      append(log, 0, 10);
      disk.syncsFail = true;
      await expect(log.flush()).rejects.toMatchObject({ code: "stream/buffer-failed" });
      disk.syncsFail = false;
      append(log, 10, 10);
      await expect(log.flush()).rejects.toMatchObject({ code: "stream/buffer-failed" });
    });
  });

  it("says that the disk is full, and after a restart has what it confirmed before", async () => {
    const disk = new FlakyDisk(() => 0.4);
    await withLog({ openFile: disk.openFile }, async (log) => {
      append(log, 0, 10);
      await log.flush();
      disk.room = 100;
      append(log, 10, 10);
      await expect(log.flush()).rejects.toMatchObject({ code: "stream/buffer-failed", cause: { code: "ENOSPC" } });
    });
    await withLog({}, async (log) => expect(await take(log)).toEqual(range(0, 10)));
  });

  it("shares one wait for the disk among all that was appended while another was under way", async () => {
    const disk = new FlakyDisk(() => 0.1);
    await withLog({ openFile: disk.openFile }, async (log) => {
      const flushes: Promise<void>[] = [];
      for (let n = 0; n < 200; n++) {
        append(log, n, 1);
        flushes.push(log.flush());
      }
      await Promise.all(flushes);
      expect(log.readable).toBe(200);
      expect(disk.syncs).toBeLessThan(5);
    });
  });

  it("deletes the segments that are done with, or writes over them", async () => {
    await withLog({ segmentBytes: 10_000 }, async (log) => {
      for (let n = 0; n < 20_000; n += 100) {
        append(log, n, 100);
        await log.flush();
        expect(await take(log)).toEqual(range(n, n + 100));
        await log.releaseTo(log.readPosition);
        expect((await readdir(folder)).length).toBeLessThan(7);
      }
      expect(log.bytes).toBe(0);
      expect(log.records).toBe(0);
      append(log, 20_000, 100);
      await log.flush();
    });
    // What is left of an older segment behind the last record is no part of the log.
    await withLog({}, async (log) => expect((await take(log)).at(-1)).toBe(20_099));
  });

  it("gives up nothing when a kill comes between the deletion of a segment and the next save of the progress", async () => {
    const log = await SegmentLog.open(folder, { segmentBytes: 1000 });
    for (let n = 0; n < 300; n += 10) {
      append(log, n, 10);
      await log.flush();
    }
    await take(log);
    await log.releaseTo(5);
    await log.saveProgress();
    await log.releaseTo(200);
    // What a kill leaves now: the progress says 5, of a segment that is gone.
    const killed = await mkdtemp(join(tmpdir(), "flowctl-segments-"));
    await cp(folder, killed, { recursive: true });
    await log.close();
    const again = await SegmentLog.open(killed, { segmentBytes: 1000 });
    const got = await take(again);
    expect(got).toEqual(range(got[0]!, 300));
    expect(got[0]).toBeLessThanOrEqual(200);
    await again.close();
    await rm(killed, { recursive: true });
  });

  it("saves the newest progress, when saves overlap", async () => {
    const log = await SegmentLog.open(folder);
    for (let n = 0; n < 100; n++) append(log, n, 1);
    await log.flush();
    await take(log);
    const saves: Promise<void>[] = [];
    for (let n = 1; n <= 100; n++) {
      await log.releaseTo(n - 1);
      saves.push(log.saveProgress());
    }
    await Promise.all(saves);
    await log.close();
    await withLog({}, async (again) => expect(await take(again)).toEqual([99]));
  });

  it("begins in the middle of a run, where that is how far it was released", async () => {
    await withLog({}, async (log) => {
      append(log, 0, 10);
      await log.flush();
      await take(log);
      await log.releaseTo(4);
      await log.saveProgress();
    });
    await withLog({}, async (log) => {
      expect(log.records).toBe(6);
      expect(await take(log)).toEqual(range(4, 10));
    });
  });

  it("passes over the oldest, one by one, from memory and from the disk", async () => {
    await withLog({}, async (log) => {
      append(log, 0, 10);
      append(log, 10, 10);
      await log.flush();
      expect(await log.skipSome(3)).toBe(3);
      expect(await log.skipSome(30)).toBe(7);
      expect(await log.skipSome(1)).toBe(1);
      expect(await take(log)).toEqual(range(11, 20));
      await log.releaseTo(log.readPosition);
      expect(log.bytes).toBe(0);
      expect(await log.skipSome(1)).toBe(0);
    });
  });

  it("takes events that are larger than a segment", async () => {
    const content = Buffer.alloc(3_000_000, 7);
    const large = Buffer.concat([Buffer.from([0x12, 0xc0, 0x8d, 0xb7, 0x01]), content]);
    await withLog({ segmentBytes: 1000 }, async (log) => {
      for (let n = 0; n < 5; n++) {
        log.appendRun(large, 0, large.length, 1);
        await log.flush();
      }
    });
    await withLog({ segmentBytes: 1000 }, async (log) => {
      for (let n = 0; n < 5; n++) {
        await log.load();
        const run = log.takeRun()!;
        expect(large.equals(run.buffer.subarray(run.start, run.end))).toBe(true);
      }
    });
  });
});

describe("a segment log with a damaged file", () => {
  /** Five segments of 20 events each, one record of ten after the other. */
  async function write(): Promise<string[]> {
    await withLog({ segmentBytes: 500 }, async (log) => {
      for (let n = 0; n < 100; n += 10) {
        append(log, n, 10);
        await log.flush();
      }
      await log.saveProgress();
    });
    const names = await segmentsOf(folder);
    expect(names.length).toBe(5);
    return names;
  }

  /** All that can be read until something fails. */
  async function readAll(): Promise<{ readonly numbers: number[]; readonly error: unknown }> {
    const numbers: number[] = [];
    try {
      await withLog({ segmentBytes: 500 }, async (log) => {
        for (let part = await take(log, 1); part.length > 0; part = await take(log, 1)) numbers.push(...part);
      });
    } catch (error) {
      return { numbers, error };
    }
    return { numbers, error: undefined };
  }

  it.each([0, 1, 2, 3, 4])("says so, and gives nothing behind it: segment %i", async (index) => {
    const names = await write();
    await damage(join(folder, names[index]!), 60);
    const { numbers, error } = await readAll();
    expect(error).toMatchObject({ code: "stream/buffer-damaged" });
    expect(numbers).toEqual(numbers.length === 0 ? [] : range(0, 20 * index));
  });

  it("says so when the damage is in the last record that was confirmed", async () => {
    const names = await write();
    const last = join(folder, names[4]!);
    await damage(last, (await stat(last)).size - 3);
    expect((await readAll()).error).toMatchObject({ code: "stream/buffer-damaged" });
  });

  it("says so when only a later record proves that the damaged one was confirmed", async () => {
    const names = await write();
    await rm(join(folder, "progress"));
    await damage(join(folder, names[4]!), 60);
    expect((await readAll()).error).toMatchObject({ code: "stream/buffer-damaged" });
  });

  it.each(["head", "file"])("says so when a segment in the middle has lost its %s", async (what) => {
    const names = await write();
    const path = join(folder, names[2]!);
    if (what === "head") await damage(path, 20);
    else await rm(path);
    expect((await readAll()).error).toMatchObject({ code: "stream/buffer-damaged" });
  });

  it("says so when all files are gone that had confirmed events", async () => {
    for (const name of await write()) await rm(join(folder, name));
    expect((await readAll()).error).toMatchObject({ code: "stream/buffer-damaged" });
  });

  it("gives the rest and what comes later, when it is the last file that somebody has given up", async () => {
    const path = join(folder, (await write())[4]!);
    await rename(path, path.replace(/segment$/, "damaged"));
    await withLog({ segmentBytes: 500 }, async (log) => {
      expect(await take(log)).toEqual(range(0, 80));
      expect(log.readable).toBe(0);
      await log.releaseTo(log.readPosition);
      expect([log.records, log.bytes]).toEqual([0, 0]);
      append(log, 100, 10);
      await log.flush();
      expect(await take(log)).toEqual(range(100, 110));
    });
  });

  it.each([0, 2, 4])("gives the rest once somebody has given up the file, and goes on: segment %i", async (index) => {
    const names = await write();
    const path = join(folder, names[index]!);
    await damage(path, 60);
    await rename(path, path.replace(/segment$/, "damaged"));
    await withLog({ segmentBytes: 500 }, async (log) => {
      append(log, 100, 10);
      await log.flush();
      const rest = range(0, 110).filter((n) => n < 20 * index || n >= 20 * (index + 1));
      expect(await take(log)).toEqual(rest);
      await log.releaseTo(log.readPosition);
      expect(log.bytes).toBe(0);
      expect(log.records).toBe(0);
      await log.saveProgress();
    });
    expect(await readAll()).toEqual({ numbers: [], error: undefined });
  });

  it("is no damage, what a kill leaves of a segment that was just begun", async () => {
    const names = await write();
    const next = join(folder, names[4]!.replace("5", "6"));
    await cp(join(folder, names[0]!), next);
    expect(await readAll()).toEqual({ numbers: range(0, 100), error: undefined });
  });
});

/** Numbers from 0 to 1 that the seed decides (mulberry32). */
function diceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What has to be there whatever happens: `released` up to `confirmed`; what was appended after that may be. */
async function runModel(path: string, list: readonly Step[], random: () => number): Promise<void> {
  const disk = new FlakyDisk(random);
  const memory = new OverwrittenPool();
  const options = { openFile: disk.openFile, segmentBytes: 400, memory };
  let log = await SegmentLog.open(path, options);
  let appended = 0;
  let confirmed = 0;
  /** The next number that is read, what is released at least after a crash, and what was released. */
  let next = 0;
  let saved = 0;
  let released = 0;
  /** Numbers that were skipped and not released. */
  let skipped: number[] = [];
  const reopen = async (): Promise<void> => {
    log = await SegmentLog.open(path, options);
    const read = log.readPosition;
    expect(read).toBeGreaterThanOrEqual(saved);
    expect(read).toBeLessThanOrEqual(released);
    const end = read + log.readable;
    expect(end).toBeGreaterThanOrEqual(confirmed);
    expect(end).toBeLessThanOrEqual(appended);
    next = read;
    released = read;
    saved = read;
    confirmed = end;
    appended = end;
    skipped = [];
  };
  for (const step of list) {
    switch (step.kind) {
      case "append":
        memory.append(log, encode(appended, step.count), step.count);
        appended += step.count;
        break;
      case "flush": {
        const upTo = appended;
        await log.flush();
        confirmed = upTo;
        break;
      }
      case "take": {
        const taken = await take(log, step.count, memory);
        expect(taken).toEqual(range(next, next + taken.length));
        expect(next + taken.length).toBeLessThanOrEqual(appended);
        if (taken.length < step.count) expect(next + taken.length).toBeGreaterThanOrEqual(confirmed);
        next += taken.length;
        break;
      }
      case "skip":
        for (let left = await log.skipSome(step.count); left > 0; left--) skipped.push(next++);
        break;
      case "release":
        released = Math.min(next, released + step.count);
        // A group is never done with a part of what was skipped.
        while (skipped.includes(released)) released++;
        skipped = skipped.filter((n) => n >= released);
        await log.releaseTo(released);
        break;
      case "save":
        await log.saveProgress();
        break;
      case "reopen":
        await log.saveProgress();
        saved = released;
        await log.close();
        await reopen();
        break;
      case "begin to flush": {
        const upTo = appended;
        const current = log;
        void log.flush().then(
          () => {
            if (current === log) confirmed = Math.max(confirmed, upTo);
          },
          () => undefined,
        );
        for (let turns = random() * 4; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
        break;
      }
      case "cut power": {
        await disk.cutPower();
        await log.close();
        await reopen();
        break;
      }
    }
    expect(log.readPosition).toBe(next);
    expect(log.records).toBe(appended - released - skipped.length);
  }
  await log.flush();
  expect(await take(log)).toEqual(range(next, appended));
  await log.releaseTo(appended);
  expect(log.bytes).toBe(0);
  await log.close();
}
