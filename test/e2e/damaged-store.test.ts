import { execFile } from "node:child_process";
import { readdir, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const run = promisify(execFile);
const pipeline = `
sources: { numbers: { uses: generator, with: { count: 20, rate: unlimited } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } } }
`;

/** Where this machine has the database of the control plane. */
async function folderOf(scenario: Scenario): Promise<string> {
  if (scenario.driver === "process") return join(scenario.folder, ".home/pipelines", scenario.name, "control-plane");
  const volume = `flowctl_${scenario.name}_control-plane`;
  const { stdout } = await run("docker", ["volume", "inspect", "-f", "{{.Mountpoint}}", volume]);
  return join(stdout.trim(), "control-plane");
}

const damages: readonly [string, (file: string) => Promise<void>][] = [
  ["cut off", (file) => truncate(file, 0)],
  ["overwritten", async (file) => writeFile(file, Buffer.alloc((await stat(file)).size, 0x5a))],
];

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("on %s", (driver) => {
  // What is damaged, and how, no driver has a part in: where the database is, and what becomes of the control plane, each has.
  it.each(driver === "docker" ? damages.slice(0, 1) : damages)(
    "a database of the control plane that was %s while it was stopped is not begun anew without a word",
    async (_, damage) => {
      await using scenario = await Scenario.on(driver, pipeline);
      await scenario.succeed("run");
      await scenario.succeed("up", "-d");
      await scenario.succeed("wait", "--timeout", "60");
      await scenario.succeed("down");
      const folder = await folderOf(scenario);
      const files = (await readdir(folder)).filter((name) => /^\d+\.(log|ldb)$/.test(name));
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) await damage(join(folder, file));
      const { code, stderr } = await scenario.flowctl("up", "-d");
      expect(code, stderr).toBe(1);
      expect(stderr).toMatch(/database in \S+control-plane is damaged/);
      expect(stderr).toContain("code store/damaged");
      expect(stderr).toMatch(/fix .*flowctl down -v.*flowctl up.*deletes the positions of sources/);
      // As it is told to.
      await scenario.succeed("down", "-v");
      await scenario.succeed("up", "-d");
      await scenario.succeed("wait", "--timeout", "60");
      scenario.passed();
    },
    300_000,
  );
});
