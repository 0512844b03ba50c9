import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "../e2e/checks.ts";
import { driversUnderTest } from "../e2e/drivers-under-test.ts";

/** Numbered events through a pipeline that a driver runs, while each of its programs is killed for real. */
const COUNT = 3_000;
const pipeline = `
sources:
  numbers: { uses: generator, with: { count: ${COUNT}, rate: 200 } }
processors:
  passed: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 } }
  doubled: { uses: map, inputs: [passed], with: { set: { doubled: payload.sequence * 2 } } }
sinks:
  archive: { uses: file, inputs: [doubled], with: { path: ./out/archive.jsonl } }
`;

beforeAll(buildProgram);

/** Kills the program itself, as a crash would: an engine's own kill would count as asked for. */
function crash(driver: "process" | "docker", ref: string): void {
  const pid =
    driver === "process" ? ref : execFileSync("docker", ["inspect", "-f", "{{.State.Pid}}", ref], { encoding: "utf8" });
  if (Number(pid) > 0) process.kill(Number(pid), "SIGKILL");
}

describe.each(driversUnderTest())("on %s", (driver) => {
  it("every number arrives once when each program of a running pipeline is killed, the control plane included", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await scenario.succeed("up", "-d");
    const victims = ["numbers-1", "passed-1", "doubled-1", "archive-1", "control-plane", "numbers-1", "archive-1"];
    for (const [turn, victim] of victims.entries()) {
      const due = Math.floor((COUNT * (turn + 1)) / (victims.length + 3));
      await eventually(
        `event ${due} at the sink`,
        async () => (await scenario.lines("out/archive.jsonl")).length >= due,
        120_000,
      );
      const ref = (await scenario.refs())[victim];
      if (ref !== undefined && ref !== "") crash(driver, ref);
    }
    await scenario.succeed("wait", "--timeout", "150");
    const sequences = (await scenario.lines("out/archive.jsonl")).map(
      (line) => (JSON.parse(line) as { sequence: number }).sequence,
    );
    expect(sequences.sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
    const restarts = (await scenario.instances()).reduce((sum, instance) => sum + instance.restarts, 0);
    expect(restarts).toBeGreaterThanOrEqual(4);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  }, 400_000);
});
