import { appendFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../foundation/clock.ts";
import type { Logger } from "../../../sdk/index.ts";
import { type Emitted, payloadText, runSource, temporaryDirectory } from "../../component-harness.fake.ts";
import { createFileSource } from "../file.ts";

const source = createFileSource(systemClock);

/** A followed file and what was emitted of it so far. */
class Followed implements AsyncDisposable {
  readonly emitted: Emitted[] = [];
  readonly warnings: string[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(path: string, position?: unknown) {
    this.#running = runSource(source, {
      config: { path, format: "lines", follow: true, poll_interval: "5ms" },
      signal: this.#stop.signal,
      position,
      log: loggerInto(this.warnings),
      onEmit: (one) => void this.emitted.push(one),
    });
    // Looked at when the test ends, or by `expectLines` running out of time.
    this.#running.catch(() => undefined);
  }

  get lines(): string[] {
    return this.emitted.map(({ event }) => payloadText(event));
  }

  async expectLines(lines: readonly string[]): Promise<void> {
    await expect.poll(() => this.lines, { timeout: 10_000, interval: 5 }).toEqual(lines);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

function loggerInto(warnings: string[]): Logger {
  const warn = (text: string): void => void warnings.push(text);
  return { debugging: false, debug: () => undefined, info: () => undefined, warn } as unknown as Logger;
}

/** The position after the last of these lines, which the file at the path has. */
async function positionAfter(path: string, lines: readonly string[], position?: unknown): Promise<unknown> {
  await using followed = new Followed(path, position);
  await followed.expectLines(lines);
  return followed.emitted.at(-1)?.position;
}

describe("a followed file", () => {
  it("gives what is appended, a line when its line break is there", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntw");
    await using followed = new Followed(path);
    await followed.expectLines(["one"]);
    await appendFile(path, "o\nthree\n");
    await followed.expectLines(["one", "two", "three"]);
  });

  it("is waited for until it is there", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await using followed = new Followed(path);
    await writeFile(path, "one\n");
    await followed.expectLines(["one"]);
  });

  it("is read to its end when another takes its name", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\n");
    await using followed = new Followed(path);
    await followed.expectLines(["one"]);
    await rename(path, `${path}.1`);
    await appendFile(`${path}.1`, "late\nwithout a break");
    await writeFile(path, "two\n");
    await followed.expectLines(["one", "late", "without a break", "two"]);
    await appendFile(path, "three\n");
    await followed.expectLines(["one", "late", "without a break", "two", "three"]);
  });

  it("is read from its start when it was truncated", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntwo\n");
    await using followed = new Followed(path);
    await followed.expectLines(["one", "two"]);
    await truncate(path, 0);
    await appendFile(path, "three\n");
    await followed.expectLines(["one", "two", "three"]);
  });

  it("never gives two lines the same position, though offsets come again", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntwo\n");
    await using followed = new Followed(path);
    await followed.expectLines(["one", "two"]);
    await truncate(path, 0);
    await appendFile(path, "six\n");
    await followed.expectLines(["one", "two", "six"]);
    await rm(path);
    await writeFile(path, "ten\n");
    await followed.expectLines(["one", "two", "six", "ten"]);
    expect(new Set(followed.emitted.map(({ position }) => JSON.stringify(position))).size).toBe(4);
  });

  it("resumed at a position, gives exactly what follows, also when it was rotated meanwhile", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntwo\n");
    let position: unknown;
    {
      await using followed = new Followed(path);
      await followed.expectLines(["one", "two"]);
      position = followed.emitted[0]?.position;
    }
    await appendFile(path, "three\n");
    {
      await using followed = new Followed(path, position);
      await followed.expectLines(["two", "three"]);
    }
    await rename(path, `${path}.1`);
    await writeFile(path, "four\n");
    await using followed = new Followed(path, position);
    await followed.expectLines(["two", "three", "four"]);
  });

  it("resumed when it is gone, goes on with the file that has the name now, at new positions", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntwo\n");
    let before: readonly Emitted[];
    {
      await using followed = new Followed(path);
      await followed.expectLines(["one", "two"]);
      before = followed.emitted;
    }
    await writeFile(`${path}.new`, "three\nfour\n");
    await rename(`${path}.new`, path);
    await using followed = new Followed(path, before[0]?.position);
    await followed.expectLines(["three", "four"]);
    expect(before.map(({ position }) => position)).not.toContainEqual(followed.emitted[0]?.position);
  });

  it("made anew with the same inode while nobody looked is read from its start, at new ids, with a warning", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntwo\n");
    let before: readonly Emitted[];
    {
      await using followed = new Followed(path);
      await followed.expectLines(["one", "two"]);
      before = followed.emitted;
    }
    // Written over, it has its inode for certain; removed and made again, it has it where the file system likes.
    await writeFile(path, "three\nfour\nfive\n");
    await using followed = new Followed(path, before.at(-1)?.position);
    await followed.expectLines(["three", "four", "five"]);
    expect(followed.warnings).toEqual([expect.stringContaining("replaced by another one")]);
    const ids = [...before, ...followed.emitted].map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("is known again however much it has grown, and by more of it then", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\n");
    const short = await positionAfter(path, ["one"]);
    const long = "x".repeat(2000);
    await appendFile(path, `${long}\n`);
    const grown = await positionAfter(path, [long], short);
    await appendFile(path, "three\n");
    expect(await positionAfter(path, ["three"], grown)).toBeDefined();
    // Begins as it did when it was short.
    await writeFile(path, `one\n${"y".repeat(3000)}\n`);
    await using followed = new Followed(path, grown);
    await followed.expectLines(["one", "y".repeat(3000)]);
  });

  it("extends what it is known by while it is followed", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\n");
    let position: unknown;
    {
      await using followed = new Followed(path);
      await followed.expectLines(["one"]);
      await appendFile(path, "two\n");
      await followed.expectLines(["one", "two"]);
      position = followed.emitted.at(-1)?.position;
    }
    await writeFile(path, "one\nsix\nten\n");
    await using followed = new Followed(path, position);
    await followed.expectLines(["one", "six", "ten"]);
  });

  it("is taken for the one of a position that does not say how it begins", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "app.log");
    await writeFile(path, "one\ntwo\n");
    const { head: _, ...position } = (await positionAfter(path, ["one", "two"])) as Record<string, unknown>;
    await appendFile(path, "three\n");
    await using followed = new Followed(path, position);
    await followed.expectLines(["three"]);
    expect(followed.warnings).toEqual([]);
  });
});
