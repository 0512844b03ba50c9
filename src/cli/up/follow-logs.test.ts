import { describe, expect, it } from "vitest";
import type { LogLine, LogOptions } from "../../drivers/driver.ts";
import { systemClock } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { LogFollower } from "./follow-logs.ts";

const line = (instance: string, text: string, time = 1): LogLine => ({
  instance,
  owner: instance.replace(/-\d+$/, ""),
  stream: "stdout",
  time,
  text,
});

/** A driver whose follow stream gives some lines and stays open, and whose log holds all of them. */
function driver(followed: readonly LogLine[], all: readonly LogLine[]) {
  return {
    async *logs(_pipeline: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
      yield* options.follow ? followed : all;
      if (options.follow && !signal.aborted) {
        await new Promise((wake) => signal.addEventListener("abort", wake, { once: true }));
      }
    },
  };
}

async function drained(logs: ReturnType<typeof driver>): Promise<readonly string[]> {
  const printed: string[] = [];
  const follower = new LogFollower({
    driver: logs,
    pipeline: "p",
    select: [],
    clock: systemClock,
    print: ({ text }) => printed.push(text),
  });
  follower.start();
  await follower.drain(new AbortController().signal);
  return printed;
}

describe("following logs", () => {
  it("prints what the stream had not given yet when it is drained, and nothing twice", async () => {
    const all = [line("a-1", "one"), line("b-1", "two"), line("a-1", "three"), line("b-1", "two")];
    expect(await drained(driver(all.slice(0, 2), all))).toEqual(["one", "two", "three", "two"]);
    expect(await drained(driver(all, all))).toEqual(["one", "two", "three", "two"]);
    expect(await drained(driver([], all))).toEqual(["one", "two", "three", "two"]);
  });

  it("prints nothing twice when a line is dated otherwise the second time it is read", async () => {
    const first = [line("a-1", "one", 5), line("a-1", "two", 9)];
    const second = [line("a-1", "one", 7), line("a-1", "two", 7), line("a-1", "three", 8)];
    expect(await drained(driver(first, second))).toEqual(["one", "two", "three"]);
  });

  it("says when the stream breaks, and takes it up again", async () => {
    let calls = 0;
    const broken: string[] = [];
    const printed: string[] = [];
    const follower = new LogFollower({
      driver: {
        async *logs(_pipeline, _options, signal) {
          yield line("a-1", `call ${++calls}`);
          if (calls === 1) throw new FlowctlError({ code: "docker/gone", kind: "unavailable", message: "gone" });
          await new Promise((wake) => signal.addEventListener("abort", wake, { once: true }));
        },
      },
      pipeline: "p",
      select: [],
      clock: { now: () => 0, elapsed: () => 0, sleep: () => Promise.resolve() },
      print: ({ text }) => printed.push(text),
      onBreak: ({ code }) => broken.push(code),
    });
    follower.start();
    while (printed.length < 2) await new Promise((wake) => setTimeout(wake, 1));
    await follower.stop();
    expect(printed).toEqual(["call 1", "call 2"]);
    expect(broken).toEqual(["docker/gone"]);
  });
});
