import { performance } from "node:perf_hooks";
import { expect, it } from "vitest";
import { afterRunning } from "./running-time.ts";

it("does not count what this process could not run in", async () => {
  let isDone = false;
  afterRunning(200, () => {
    isDone = true;
  });
  for (let time = 0; time < 3; time++) {
    for (const end = performance.now() + 250; performance.now() < end; );
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(isDone).toBe(false);
  while (!isDone) await new Promise((resolve) => setTimeout(resolve, 5));
});

it("calls nothing once it is ended", async () => {
  let isDone = false;
  const end = afterRunning(10, () => {
    isDone = true;
  });
  end();
  await new Promise<void>((resolve) => afterRunning(100, resolve));
  expect(isDone).toBe(false);
});

it("takes no longer than it may at most, however little this process could run", async () => {
  const calls: string[] = [];
  afterRunning(10_000, () => calls.push("done"), 50);
  for (const end = performance.now() + 100; performance.now() < end; );
  await new Promise<void>((resolve) => afterRunning(100, resolve));
  expect(calls).toEqual(["done"]);
});
