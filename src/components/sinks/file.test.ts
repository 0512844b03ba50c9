import { existsSync } from "node:fs";
import { appendFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readEventLine } from "../../event-files/event-line.ts";
import type { Event } from "../../sdk/index.ts";
import { anEvent, runSink, temporaryDirectory } from "../component-harness.fake.ts";
import { fileSink } from "./file.ts";

function events(from: number, to: number, upstream = "feed"): Event[] {
  return Array.from({ length: to - from + 1 }, (_, n) =>
    anEvent({ id: `e${from + n}`, json: { n: from + n }, upstream }),
  );
}

function lines(from: number, to: number): string {
  return Array.from({ length: to - from + 1 }, (_, n) => `{"n":${from + n}}\n`).join("");
}

/** A sink's file and state, in a folder of its own. */
class Bench {
  readonly path: string;
  readonly stateDirectory: string;
  constructor(readonly directory: string) {
    this.path = join(directory, "out", "events.jsonl");
    this.stateDirectory = join(directory, "state");
  }
  write(batches: Event[][], config: Record<string, unknown> = {}): Promise<void> {
    return runSink(fileSink, { config: { path: this.path, ...config }, stateDirectory: this.stateDirectory }, batches);
  }
  text(): Promise<string> {
    return readFile(this.path, "utf8");
  }
  async journal(): Promise<string> {
    const names = (await readdir(this.stateDirectory)).sort();
    return join(this.stateDirectory, names.at(-1) ?? "");
  }
}

describe("the file sink", () => {
  it("names the path and what to do when the file system refuses", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await writeFile(join(directory.path, "taken"), "a file");
    const below = join(directory.path, "taken", "out.jsonl");
    await expect(bench.write([events(1, 1)], { path: below })).rejects.toMatchObject({
      code: "components/file-unwritable",
      message: expect.stringContaining(below),
      fix: expect.stringContaining("use another path"),
    });
    await expect(bench.write([events(1, 1)], { path: directory.path })).rejects.toMatchObject({
      code: "components/file-unwritable",
      message: expect.stringContaining(directory.path),
      fix: "Use the path of a file, not of a folder",
    });
  });

  it.runIf(existsSync("/proc/self"))("says so where its folder cannot be made", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    const path = "/proc/none/out/events.jsonl";
    await expect(bench.write([events(1, 1)], { path })).rejects.toMatchObject({
      code: "components/file-unwritable",
      message: expect.stringContaining(`cannot write ${path}: ENOENT`),
      fix: expect.stringContaining("use another path"),
    });
  });

  it.runIf(existsSync("/dev/full"))("names the path and what to do on a full disk", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await expect(bench.write([events(1, 1)], { path: "/dev/full" })).rejects.toMatchObject({
      code: "components/file-unwritable",
      message: expect.stringContaining("cannot write /dev/full: ENOSPC"),
      fix: expect.stringContaining("Free disk space for /dev/full"),
    });
  });

  it("names the folder of its record when that cannot be written", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await writeFile(bench.stateDirectory, "a file");
    await expect(bench.write([events(1, 1)])).rejects.toMatchObject({
      code: "sdk/state-unwritable",
      message: expect.stringContaining(bench.stateDirectory),
    });
  });

  it("writes payloads, one a line, and makes the folders", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 3), events(4, 5)]);
    expect(await bench.text()).toBe(lines(1, 5));
  });

  it("writes whole events with format event", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 1)], { format: "event" });
    expect(JSON.parse(await bench.text())).toMatchObject({ id: "e1", payload: { n: 1 } });
  });

  it("writes dead letters whole between payloads, and one that fails again after a replay as a further one", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    const letter = (upstream: string): Event =>
      anEvent({
        id: "e2",
        payload: '{"broken":',
        contentType: "application/json",
        upstream: "map",
        metadata: { "flowctl.dead_letter.component": "map", "flowctl.dead_letter.upstream": upstream },
      });
    await bench.write([[...events(1, 1), letter("feed"), letter("feed")]]);
    await bench.write([[letter("feed"), letter("map-replay-1")]]);
    const [payload, ...letters] = (await bench.text()).trimEnd().split("\n");
    expect(payload).toBe('{"n":1}');
    expect(letters.map((line) => Buffer.from(readEventLine(line)?.payload ?? []).toString())).toEqual([
      '{"broken":',
      '{"broken":',
    ]);
  });

  it("writes an event once that comes again: in the batch, in a later batch, after a restart", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([[...events(1, 3), ...events(2, 4)], events(3, 5)]);
    await bench.write([events(1, 6)]);
    expect(await bench.text()).toBe(lines(1, 6));
  });

  it("takes an event that comes from two neighbours for two", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 1, "left"), events(1, 1, "right")]);
    expect(await bench.text()).toBe(lines(1, 1).repeat(2));
  });

  it("forgets ids beyond the horizon, and never within it", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    const config = { remember: 10, durable: false };
    for (let n = 1; n <= 100; n += 5) await bench.write([events(n, n + 4)], config);
    await bench.write([events(91, 100)], config);
    expect(await bench.text()).toBe(lines(1, 100));
    await bench.write([events(1, 1)], config);
    // The journal is not begun anew before it has 1,000 records, so that the horizon on disk is longer than `remember`.
    const written = (await bench.text()).split("\n").filter((line) => line === '{"n":1}').length;
    expect(written).toBe(2);
  });

  it("cut off at any byte of the last batch, has each event once after the replay", async () => {
    await using directory = await temporaryDirectory();
    const before = new Bench(join(directory.path, "before"));
    await before.write([events(1, 2), events(3, 6)], { durable: false });
    const start = Buffer.byteLength(lines(1, 2));
    const end = Buffer.byteLength(lines(1, 6));
    for (let cut = start; cut <= end; cut++) {
      const bench = new Bench(join(directory.path, `cut-${cut}`));
      await cp(before.directory, bench.directory, { recursive: true });
      // The journal is named after the file's path: give it the name it would have there.
      await moveJournal(bench);
      await truncate(bench.path, cut);
      // Stopped once more before anything is written: what was cut off stays unknown.
      await bench.write([], { durable: false });
      await bench.write([events(3, 8)], { durable: false });
      expect(await bench.text(), `cut at ${cut}`).toBe(lines(1, 8));
    }
  });

  it("killed before the bytes were written, with the journal cut off at any byte, has each event once", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 2)], { durable: false });
    const journal = await bench.journal();
    const first = await readFile(journal);
    await bench.write([events(3, 4)], { durable: false });
    const both = await readFile(journal);
    for (let cut = first.length; cut <= both.length; cut++) {
      await writeFile(journal, both.subarray(0, cut));
      await writeFile(bench.path, lines(1, 2));
      await bench.write([events(1, 5)], { durable: false });
      expect(await bench.text(), `journal cut at ${cut}`).toBe(lines(1, 5));
    }
  });

  it("never cuts off what others appended", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 2)]);
    await appendFile(bench.path, "a note\n");
    await bench.write([events(3, 3)]);
    expect(await bench.text()).toBe(`${lines(1, 2)}a note\n${lines(3, 3)}`);
  });

  it("never cuts off what others appended in the place of a batch that was not written", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 2), events(3, 4)]);
    await truncate(bench.path, Buffer.byteLength(lines(1, 2)));
    const note = "a note that is longer than the batch would have been\n";
    await appendFile(bench.path, note);
    await bench.write([events(3, 4)]);
    expect(await bench.text()).toBe(lines(1, 2) + note + lines(3, 4));
  });

  it("goes on in a new file when the old one was taken away", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    await bench.write([events(1, 2)]);
    await rm(bench.path);
    await bench.write([events(3, 4)]);
    expect(await bench.text()).toBe(lines(3, 4));
  });

  it("keeps what is in the file at the first run, on lines of its own, or empties it with mode replace", async () => {
    await using directory = await temporaryDirectory();
    const appending = new Bench(join(directory.path, "append"));
    const replacing = new Bench(join(directory.path, "replace"));
    for (const bench of [appending, replacing]) {
      await mkdir(join(bench.directory, "out"), { recursive: true });
      await writeFile(bench.path, "no line break");
    }
    await appending.write([events(1, 1)]);
    await replacing.write([events(1, 1)], { mode: "replace" });
    await replacing.write([events(2, 2)], { mode: "replace" });
    expect(await appending.text()).toBe(`no line break\n${lines(1, 1)}`);
    expect(await replacing.text()).toBe(lines(1, 2));
  });

  it("writes nothing of a batch with an event that cannot be a line", async () => {
    await using directory = await temporaryDirectory();
    const bench = new Bench(directory.path);
    const bad = anEvent({ id: "bad", payload: "a\nb", contentType: "text/plain" });
    await expect(bench.write([[...events(1, 1), bad]])).rejects.toMatchObject({
      code: "components/payload-spans-lines",
    });
    await bench.write([events(1, 1)]);
    expect(await bench.text()).toBe(lines(1, 1));
  });

  it("writes one file an instance, and refuses to share one", async () => {
    await using directory = await temporaryDirectory();
    const stateDirectory = join(directory.path, "state");
    const instance = { index: 2, replicas: 2 };
    const path = join(directory.path, "part-{instance}.jsonl");
    await runSink(fileSink, { config: { path }, stateDirectory, instance }, [events(1, 1)]);
    expect(await readFile(join(directory.path, "part-2.jsonl"), "utf8")).toBe(lines(1, 1));
    const shared = { config: { path: join(directory.path, "a.jsonl") }, stateDirectory, instance };
    await expect(runSink(fileSink, shared, [])).rejects.toMatchObject({ code: "components/shared-file" });
  });
});

async function moveJournal(bench: Bench): Promise<void> {
  const content = await readFile(await bench.journal());
  await rm(bench.stateDirectory, { recursive: true });
  await bench.write([], {});
  await writeFile(await bench.journal(), content);
}
