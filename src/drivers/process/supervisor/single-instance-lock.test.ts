import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { acquireLock, lockByFile } from "./single-instance-lock.ts";

const folder = mkdtempSync(join(tmpdir(), "flowctl-lock-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const someName = (): string => `test-${process.pid}-${Math.random().toString(36).slice(2)}`;

describe.each([
  ["of this system", acquireLock, someName],
  ["that is a file", lockByFile, () => join(folder, someName())],
] as const)("a lock %s", (_kind, acquire, name) => {
  test("has one holder at a time, and the next one after it let go", async () => {
    const lock = name();
    const first = await acquire(lock);
    expect(first).toBeDefined();
    expect(await acquire(lock)).toBeUndefined();
    await first?.release();
    const second = await acquire(lock);
    expect(second).toBeDefined();
    await second?.release();
  });

  test("is given to one of many that ask at once", async () => {
    const lock = name();
    const locks = await Promise.all(Array.from({ length: 20 }, () => acquire(lock)));
    expect(locks.filter((one) => one !== undefined)).toHaveLength(1);
    for (const one of locks) await one?.release();
  });

  test("is held no more by a holder that was killed", async () => {
    const lock = name();
    const module = new URL("./single-instance-lock.ts", import.meta.url).href;
    const script = `const { ${acquire.name} } = await import(${JSON.stringify(module)});
      await ${acquire.name}(${JSON.stringify(lock)}); console.log("held"); setInterval(() => {}, 1000);`;
    const args = ["--import", import.meta.resolve("tsx"), "--input-type=module", "-e", script];
    const holder = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    expect(await acquire(lock)).toBeUndefined();
    const exit = once(holder, "exit");
    holder.kill("SIGKILL");
    await exit;
    const next = await acquire(lock);
    expect(next).toBeDefined();
    await next?.release();
  });
});

test("a lock that is a file leaves none behind", () => {
  expect(readdirSync(folder)).toEqual([]);
});
