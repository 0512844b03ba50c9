import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { acquireLock } from "./single-instance-lock.ts";

const name = (): string => `test-${process.pid}-${Math.random().toString(36).slice(2)}`;

test("one holder at a time, and the next one after it let go", async () => {
  const runId = name();
  const first = await acquireLock(runId);
  expect(first).toBeDefined();
  expect(await acquireLock(runId)).toBeUndefined();
  await first?.release();
  const second = await acquireLock(runId);
  expect(second).toBeDefined();
  await second?.release();
});

test("of many that ask at once one gets it", async () => {
  const runId = name();
  const locks = await Promise.all(Array.from({ length: 20 }, () => acquireLock(runId)));
  expect(locks.filter((lock) => lock !== undefined)).toHaveLength(1);
  for (const lock of locks) await lock?.release();
});

test("a holder that is killed holds it no more", async () => {
  const runId = name();
  const module = new URL("./single-instance-lock.ts", import.meta.url).href;
  const script = `const { acquireLock } = await import(${JSON.stringify(module)});
    await acquireLock(${JSON.stringify(runId)}); console.log("held"); setInterval(() => {}, 1000);`;
  const args = ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", script];
  const holder = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(holder.stdout, "data");
  expect(await acquireLock(runId)).toBeUndefined();
  const exit = once(holder, "exit");
  holder.kill("SIGKILL");
  await exit;
  const lock = await acquireLock(runId);
  expect(lock).toBeDefined();
  await lock?.release();
});
