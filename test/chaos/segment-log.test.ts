import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { bundledProgram } from "../bundled-program.ts";

const LIVES = 8;
const user = bundledProgram(resolve(import.meta.dirname, "fixtures/segment-user.ts"));

async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}

it("a segment log whose user is killed by kill -9 again and again loses nothing, and repeats nothing that was saved as released", async () => {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-killed-log-"));
  const out = join(folder, "out");
  const live = (...more: string[]) =>
    spawn(process.execPath, [user, join(folder, "log"), out, ...more], {
      stdio: ["ignore", "ignore", "inherit"],
    });
  try {
    let steps = 0;
    for (let n = 0; n < LIVES; n++) {
      const child = live();
      const exit = once(child, "exit");
      // Killed at a moment of its own choosing: somewhere after so many steps more.
      steps += 1 + Math.floor(Math.random() * 60);
      await expect
        .poll(async () => child.exitCode !== null || (await linesOf(`${out}.said`)).length >= steps, {
          timeout: 60_000,
          interval: 1,
        })
        .toBe(true);
      child.kill("SIGKILL");
      expect(await exit).toEqual([null, "SIGKILL"]);
      steps = (await linesOf(`${out}.said`)).length;
    }
    expect(await once(live("last"), "exit")).toEqual([0, null]);

    let confirmed = 0;
    let saved = 0;
    for (const line of await linesOf(`${out}.said`)) {
      const [what, position] = [line.split(" ")[0], Number(line.split(" ")[1])];
      if (what === "confirmed") confirmed = Math.max(confirmed, position);
      if (what === "saved") saved = Math.max(saved, position);
      if (what === "opened") expect(position).toBeGreaterThanOrEqual(saved);
    }
    const seen = new Set((await linesOf(out)).map(Number));
    for (let n = 0; n < confirmed; n++) expect(seen.has(n), `event ${n} of ${confirmed} is lost`).toBe(true);
    expect(confirmed).toBeGreaterThan(100);
    expect(saved).toBeGreaterThan(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
