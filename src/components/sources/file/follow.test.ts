import { appendFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../foundation/clock.ts";
import { type Emitted, payloadText, runSource, temporaryDirectory } from "../../component-harness.fake.ts";
import { createFileSource } from "../file.ts";

const source = createFileSource(systemClock);

/** A followed file and what was emitted of it so far. */
class Followed implements AsyncDisposable {
  readonly emitted: Emitted[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;

  constructor(path: string, position?: unknown) {
    this.#running = runSource(source, {
      config: { path, format: "lines", follow: true, poll_interval: "5ms" },
      signal: this.#stop.signal,
      position,
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
});
