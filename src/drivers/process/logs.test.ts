import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../foundation/clock.ts";
import { silentLogger } from "../../foundation/logger.ts";
import type { LogLine, LogOptions } from "../driver.ts";
import { type LogCollector, startLogCollector } from "./logs/log-collector.ts";
import { parseEntry } from "./logs/log-format.ts";
import { pipelineLogs } from "./logs.ts";

let folder = "";
const collectors: LogCollector[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-logs-"));
});
afterEach(() => {
  for (const collector of collectors.splice(0)) collector.close();
  rmSync(folder, { recursive: true, force: true });
});

function collect(options: { readonly rotateBytes?: number } = {}): LogCollector {
  const collector = startLogCollector({ folder, clock: systemClock, log: silentLogger, ...options });
  collectors.push(collector);
  return collector;
}

function say(text: string, stream: "out" | "err" = "out", instance = "a-1"): void {
  appendFileSync(join(folder, `${instance}.${stream}`), text);
}

async function read(options: Partial<LogOptions> = {}): Promise<readonly LogLine[]> {
  const lines: LogLine[] = [];
  const all = { select: [], follow: false, ...options };
  const reader = { folder, clock: systemClock };
  for await (const line of pipelineLogs(reader, all, new AbortController().signal)) lines.push(line);
  return lines;
}

async function texts(options: Partial<LogOptions> = {}): Promise<readonly string[]> {
  return (await read(options)).map(({ text }) => text);
}

function entries(name = "a-1.log") {
  return readFileSync(join(folder, name), "utf8").split("\n").slice(0, -1).map(parseEntry);
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("timed out");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("the log collector", () => {
  test("copies complete lines of both streams with their time, without being asked", async () => {
    collect();
    const before = Date.now();
    say("one\ntwo\n");
    say("three\n", "err");
    await eventually(() => entriesOrNone().filter((entry) => entry?.type === "line").length === 3);
    for (const entry of entries()) {
      if (entry?.type === "line") expect(entry.time).toBeGreaterThanOrEqual(before);
    }
    expect(entries()).toContainEqual(expect.objectContaining({ stream: "stdout", text: "two", end: 8 }));
    expect(entries()).toContainEqual(expect.objectContaining({ stream: "stderr", text: "three", end: 6 }));
  });

  test("lets its process do other things beside a program that writes faster than it can be copied", async () => {
    const rotateBytes = 1024 * 1024;
    const collector = collect({ rotateBytes });
    const spool = openSync(join(folder, "a-1.out"), "a");
    const yes = spawn("yes", ["no end of it"], { stdio: ["ignore", spool, "ignore"] });
    closeSync(spool);
    const ended = once(yes, "exit");
    const logged = () => readdirSync(folder).filter((name) => name.startsWith("a-1.log"));
    // Each look takes a turn of the event loop, as a heartbeat or a stop would.
    await eventually(() => logged().length === 3 && logged().some((name) => isSkipIn(name)));
    yes.kill("SIGKILL");
    await ended;
    collector.flush("a-1", true);
    const bytes = logged().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    expect(bytes).toBeLessThan(8 * rotateBytes);
    // The very last line may have been cut by the kill.
    expect((await texts({ tail: 2 }))[0]).toBe("no end of it");
  });

  test("holds an unfinished line back until it is finished, or nobody will finish it", () => {
    const collector = collect();
    say("half");
    collector.flush("a-1", false);
    expect(entriesOrNone()).toEqual([]);
    say(" a line\nrest");
    collector.flush("a-1", false);
    collector.flush("a-1", true);
    expect(linesOf()).toEqual(["half a line", "rest"]);
  });

  test("reads a spool that grows by one byte at a time as one that grows at once", () => {
    const collector = collect();
    const text = "ä€😀 first\r\n\n third\n";
    for (const byte of Buffer.from(text)) {
      appendFileSync(join(folder, "a-1.out"), Buffer.from([byte]));
      collector.flush("a-1", false);
    }
    expect(linesOf()).toEqual(["ä€😀 first", "", " third"]);
  });

  test("goes on after a crash where its log ends, with nothing lost and nothing doubled", () => {
    const collector = collect();
    say("1\n2\n");
    say("e1\n", "err");
    collector.flush("a-1", false);
    collector.close();
    say("3\n4\n");
    const next = collect();
    next.flush("a-1", false);
    expect(linesOf()).toEqual(["1", "2", "e1", "3", "4"]);
  });

  test("reads again what a crash left half-written in its log", () => {
    const collector = collect();
    say("1\n2\n3\n");
    collector.flush("a-1", false);
    collector.close();
    const file = join(folder, "a-1.log");
    truncateSync(file, statSync(file).size - 3);
    collect().flush("a-1", false);
    expect(linesOf()).toEqual(["1", "2", "3"]);
  });

  test("gives a line that nobody saw being written the time that it states itself", () => {
    say('{"time":"2024-05-06T07:08:09.000Z","level":"info","msg":"x"}\n');
    collect().flush("a-1", false);
    expect(entries()).toContainEqual(expect.objectContaining({ time: Date.parse("2024-05-06T07:08:09.000Z") }));
  });

  test("keeps at most three files an instance, and never loses its place by rotating", async () => {
    const rotateBytes = 2_000;
    let collector = collect({ rotateBytes });
    for (let n = 1; n <= 1_000; n++) {
      say(`line ${n} ${"x".repeat(50)}\n`);
      if (n % 10 === 0) collector.flush("a-1", false);
      if (n % 300 === 0) {
        collector.close();
        collector = collect({ rotateBytes });
      }
    }
    collector.flush("a-1", true);
    const logs = readdirSync(folder).filter((name) => name.includes(".log"));
    expect(logs.sort()).toEqual(["a-1.log", "a-1.log.1", "a-1.log.2"]);
    for (const name of logs) expect(statSync(join(folder, name)).size).toBeLessThan(2 * rotateBytes);
    const numbers = (await texts()).map((text) => Number(text.split(" ")[1]));
    expect(numbers.length).toBeGreaterThan(50);
    expect(numbers).toEqual(numbers.map((_, i) => 1_000 - numbers.length + 1 + i));
  });

  test("gives back the disk space of a spool that it has copied, and goes on in it", async () => {
    const rotateBytes = 256 * 1024;
    const collector = collect({ rotateBytes });
    const line = `${"y".repeat(1023)}\n`;
    for (let n = 0; n < 40; n++) {
      say(line.repeat(100));
      collector.flush("a-1", false);
    }
    await eventually(() => statSync(join(folder, "a-1.out")).blocks * 512 < 2_000 * 1024);
    say("last\n");
    collector.flush("a-1", false);
    expect((await texts()).at(-1)).toBe("last");
  });

  test("begins anew in a spool that was emptied", async () => {
    const collector = collect();
    say("before\n");
    collector.flush("a-1", false);
    writeFileSync(join(folder, "a-1.out"), "x\n");
    collector.flush("a-1", false);
    expect(await texts()).toEqual(["before", "x"]);
  });

  test("forgets an instance with all its files", () => {
    const collector = collect();
    say("1\n");
    say("2\n", "out", "b-1");
    collector.flush("a-1", false);
    collector.flush("b-1", false);
    collector.forget("a-1");
    expect(readdirSync(folder).sort()).toEqual(["b-1.log", "b-1.out"]);
  });

  function isSkipIn(name: string): boolean {
    return readFileSync(join(folder, name), "utf8").includes("flowctl: skipped");
  }

  function entriesOrNone() {
    return readdirSync(folder).includes("a-1.log") ? entries() : [];
  }
  function linesOf(): readonly string[] {
    return entries().flatMap((entry) => (entry?.type === "line" ? [entry.text] : []));
  }
});

describe("the log reader", () => {
  test("gives everything, also what no collector has copied, and an unfinished last line", async () => {
    const collector = collect();
    say("1\n");
    collector.flush("a-1", false);
    collector.close();
    say("2\nhalf");
    expect(await texts()).toEqual(["1", "2", "half"]);
  });

  test("names instance, owner and stream", async () => {
    say("out\n", "out", "my-part-12");
    say("err\n", "err", "my-part-12");
    const whose = { instance: "my-part-12", owner: "my-part" };
    expect(await read()).toEqual([
      expect.objectContaining({ ...whose, stream: "stdout", text: "out" }),
      expect.objectContaining({ ...whose, stream: "stderr", text: "err" }),
    ]);
  });

  test("selects by instance and by owner, and shows the control plane only when it is asked for", async () => {
    for (const instance of ["a-1", "a-2", "b-1", "control-plane"]) say(`${instance}\n`, "out", instance);
    expect(await texts()).toEqual(["a-1", "a-2", "b-1"]);
    expect(await texts({ select: ["a"] })).toEqual(["a-1", "a-2"]);
    expect(await texts({ select: ["a-2", "control-plane"] })).toEqual(["a-2", "control-plane"]);
  });

  test("takes the last lines of each instance, and those of a time", async () => {
    say("1\n2\n3\n");
    say("4\n", "out", "b-1");
    expect(await texts({ tail: 2 })).toEqual(["2", "3", "4"]);
    expect(await texts({ tail: 0 })).toEqual([]);
    expect(await texts({ since: Date.now() + 60_000 })).toEqual([]);
    expect(await texts({ until: Date.now() - 60_000 })).toEqual([]);
  });

  test("follows each line once, whether a collector runs, has died, or has come back, through rotations", async () => {
    const rotateBytes = 3_000;
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      const reader = { folder, clock: systemClock };
      for await (const line of pipelineLogs(reader, { select: [], follow: true }, stop.signal)) seen.push(line.text);
    })();
    let expected = 0;
    for (let round = 0; round < 12; round++) {
      const collector = round % 3 === 1 ? undefined : collect({ rotateBytes });
      for (let n = 0; n < 25; n++) say(`${++expected} ${"z".repeat(40)}\n`);
      collector?.flush("a-1", false);
      await eventually(() => seen.length >= expected);
      collector?.close();
    }
    stop.abort();
    await reading;
    expect(seen.map((text) => Number(text.split(" ")[0]))).toEqual(Array.from({ length: expected }, (_, i) => i + 1));
  });

  test("follows an instance that was removed and comes back under its name from its first line on", async () => {
    const collector = collect();
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      const reader = { folder, clock: systemClock };
      for await (const line of pipelineLogs(reader, { select: [], follow: true }, stop.signal)) seen.push(line.text);
    })();
    say(`${"a long first life ".repeat(50)}\n`);
    await eventually(() => seen.length === 1);
    collector.flush("a-1", true);
    collector.forget("a-1");
    say("1\n2\n");
    await eventually(() => seen.length === 3);
    say("3\n");
    await eventually(() => seen.length === 4);
    stop.abort();
    await reading;
    expect(seen.slice(1)).toEqual(["1", "2", "3"]);
  });

  test("finds nothing, without an error, where there is no log", async () => {
    rmSync(folder, { recursive: true });
    expect(await texts()).toEqual([]);
  });
});
