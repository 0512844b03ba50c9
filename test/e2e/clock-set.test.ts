import { existsSync, readdirSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";

const COUNT = 1_000;
const [library = "libfaketimeMT.so.1 (apt-get install faketime)"] = readdirSync("/usr/lib")
  .map((name) => join("/usr/lib", name, "faketime/libfaketimeMT.so.1"))
  .filter((path) => existsSync(path));

beforeAll(buildProgram);

/** Every program of the pipeline, its supervisor included, sees the clock that a file says, as they inherit what makes them; durations they see as they are. */
it.concurrent.each([
  ["forwards by an hour", "+1h"],
  ["back by an hour", "-1h"],
  // Every certificate that somebody works with has expired then.
  ["forwards by a week", "+7d"],
])(
  "a machine whose clock is set %s: nobody is taken for dead, and each number arrives once",
  async (_, offset) => {
    await using scenario = await Scenario.on(
      "process",
      `
x-clock: &clock { inherit_environment: true }
sources: { numbers: { <<: *clock, uses: generator, with: { count: ${COUNT}, rate: 50 } } }
processors: { passed: { <<: *clock, uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 } } }
sinks: { archive: { <<: *clock, uses: file, inputs: [passed], with: { path: ./out/numbers.jsonl } } }
`,
    );
    const clock = join(scenario.folder, "clock");
    await writeFile(clock, "+0\n");
    Object.assign(scenario.env, {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: clock,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    });
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const arrived = async (): Promise<number> => (await scenario.lines("out/numbers.jsonl")).length;
    await eventually("a tenth", async () => (await arrived()) > COUNT / 10);
    // At once: a program that reads the time from an empty file ends.
    await writeFile(`${clock}.new`, `${offset}\n`);
    await rename(`${clock}.new`, clock);
    await eventually("it is noticed", async () =>
      (await scenario.flowctl("events")).stdout.includes("the clock of the machine jumped"),
    );
    const refs = await scenario.refs();
    process.kill(Number(refs["passed-1"]), "SIGKILL");
    await scenario.succeed("wait", "--timeout", "120");
    const numbers = (await scenario.lines("out/numbers.jsonl")).map(
      (line) => (JSON.parse(line) as { sequence: number }).sequence,
    );
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, index) => index + 1));
    const restarts = Object.fromEntries((await scenario.instances()).map((one) => [one.instance, one.restarts]));
    expect(restarts).toMatchObject({ "numbers-1": 0, "passed-1": 1, "archive-1": 0 });
    scenario.passed();
  },
  240_000,
);
