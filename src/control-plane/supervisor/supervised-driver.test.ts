import { expect, it } from "vitest";
import type { LogLine } from "../../drivers/driver.ts";
import { lastLine, type SupervisedDriver } from "./supervised-driver.ts";

const signal = new AbortController().signal;

/** What is said of an instance that failed for `reason` and logged `texts`. */
async function said(reason: string, ...texts: string[]): Promise<string> {
  const logs = async function* (): AsyncGenerator<LogLine> {
    for (const text of texts) yield { instance: "a-1", owner: "a", stream: "stderr", time: 1, text };
  };
  return lastLine({ logs } as unknown as SupervisedDriver, "p", "a-1", reason, signal);
}

it("adds the last line that an instance logged to the reason, unless the reason has it", async () => {
  expect(await said("exited with code 1", "connecting", "no such table", " ")).toBe(", last log line: no such table");
  expect(await said("exited with code 1: no such table", "no such table")).toBe("");
  expect(await said("exited with code 1", '{"level":"error","msg":"no such table"}')).toBe(
    ", last log line: no such table",
  );
  expect(await said("exited with code 1")).toBe("");
});

it("quotes the error of a program that ended with a stack", async () => {
  const stack = ["    ^", "", "TypeError: no table", "    at main.mjs:1:7", "", "Node.js v20.20.2"];
  expect(await said("exited with code 1", "ready", ...stack)).toBe(", last log line: TypeError: no table");
});

it("knows a long line by its beginning, as a reason may have it cut off", async () => {
  const line = `cannot read ${"the very long name of a table ".repeat(10)}`;
  expect(await said(`exited with code 1: ${line.slice(0, 100)}`, line)).toBe("");
});

it("takes no short line for quoted, as it is in many a reason by chance", async () => {
  expect(await said("exited with code 1", "code 1")).toBe(", last log line: code 1");
});
