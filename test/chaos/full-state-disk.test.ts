import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "../e2e/checks.ts";
import { SmallDisk } from "./harness/small-disk.ts";

const COUNT = 3_000;

beforeAll(buildProgram);

/** The control plane's store, the buffer on disk, what the sink remembers and all logs are on it. */
it.skipIf(process.getuid?.() !== 0)(
  "a full disk under the control plane's store and a buffer is said, and once there is room each number is there once",
  async () => {
    await using scenario = await Scenario.on(
      "process",
      `
sources: { numbers: { uses: generator, with: { count: ${COUNT}, rate: 100 } } }
sinks:
  archive:
    uses: file
    inputs: [{ from: numbers, buffer: { type: disk, max_events: 100000 } }]
    with: { path: ./out/numbers.jsonl }
`,
    );
    const home = join(scenario.folder, ".home");
    await using disk = await SmallDisk.over(home, 64);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const arrived = async (): Promise<number> => (await scenario.lines("out/numbers.jsonl")).length;
    await eventually("a tenth", async () => (await arrived()) > COUNT / 10);
    await disk.whileFull(async () => {
      await eventually("what is wrong is said where one looks for it", async () => {
        const { code, stdout } = await scenario.flowctl("doctor");
        return code === 1 && stdout.includes(`free in the process driver's folder (${home})`);
      });
      await eventually("and status says so, whether the control plane answers or not", async () => {
        const { stdout, stderr } = await scenario.flowctl("status");
        return (stdout + stderr).includes(`free in the process driver's folder (${home})`);
      });
      // Long enough for everything that writes to have met it.
      const before = await arrived();
      await eventually("whatever still arrives has arrived", async () => {
        const seen = await arrived();
        const { stdout } = await scenario.flowctl("status");
        return stdout === "" || !/archive +sink +\S+ +healthy/.test(stdout) || seen > before + COUNT / 20;
      });
    });
    // Whoever was given up meanwhile is started again.
    await scenario.succeed("up", "-d");
    await scenario.succeed("wait", "--timeout", "150");
    const numbers = (await scenario.lines("out/numbers.jsonl")).map(
      (line) => (JSON.parse(line) as { sequence: number }).sequence,
    );
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1));
    await scenario.succeed("down", "-v");
    scenario.passed();
  },
  400_000,
);
