import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { freeze, isGone, kill, programOf } from "./processes.ts";
import { SmallDisk } from "./small-disk.ts";

async function sleeper(): Promise<{ readonly pid: string; end(): Promise<void> }> {
  const child = spawn("sleep", ["600"]);
  const ended = once(child, "exit");
  await once(child, "spawn");
  return {
    pid: String(child.pid),
    async end() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

const stateOf = async (pid: number): Promise<string | undefined> =>
  / ([A-Z]) /.exec(await readFile(`/proc/${pid}/stat`, "utf8"))?.[1];

describe("a fault", () => {
  it("kills a program, and says so only when it is gone", async () => {
    const { pid, end } = await sleeper();
    const program = await programOf("process", pid);
    expect(await isGone(program!)).toBe(false);
    await kill(program!);
    expect(await isGone(program!)).toBe(true);
    expect(await programOf("process", pid)).toBeUndefined();
    await end();
    await expect(kill(program!)).rejects.toThrow("ESRCH");
  });

  it("freezes a program and lets it go on", async () => {
    const { pid, end } = await sleeper();
    const program = (await programOf("process", pid))!;
    const frozen = freeze(program, 300);
    const seen: (string | undefined)[] = [];
    while (!seen.includes("T")) seen.push(await stateOf(program.pid));
    await frozen;
    expect(await stateOf(program.pid)).not.toBe("T");
    await end();
  });

  it.runIf(process.getuid?.() === 0)("fills a disk: not a byte more can be written until it is over", async () => {
    const folder = await mkdtemp(join(tmpdir(), "chaos-disk-"));
    const file = join(folder, "file");
    try {
      await using disk = await SmallDisk.over(folder, 4);
      await appendFile(file, "before");
      const filled = disk.fill(500);
      let code: unknown;
      while (code === undefined) code = await appendFile(file, "x".repeat(8_192)).catch((error: unknown) => error);
      expect(code).toMatchObject({ code: "ENOSPC" });
      await filled;
      await appendFile(file, "after");
      expect(await readFile(file, "utf8")).toMatch(/^before.*after$/s);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
