import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const pipeline = `
sources: { ticks: { uses: generator, with: { rate: 50 } } }
sinks: { out: { uses: file, inputs: [ticks], with: { path: ./out.jsonl } } }
`;

/** The processes that host the control plane of a scenario, the innermost last. */
async function controlPlanePids(scenario: Scenario): Promise<readonly number[]> {
  const ref = (await scenario.instances()).find(({ component }) => component === "control-plane")?.ref ?? "";
  if (scenario.driver === "process") return [Number(ref)];
  const { stdout } = await promisify(execFile)("docker", ["top", ref, "-o", "pid"]);
  return stdout.trim().split("\n").slice(1).map(Number);
}

/** Starts the pipeline, and makes its control plane hang once events flow. Returns who hangs. */
async function hang(scenario: Scenario): Promise<number> {
  await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
  await eventually("events", async () => (await scenario.lines("out.jsonl")).length > 0);
  const pids = await controlPlanePids(scenario);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  return pids.at(-1) ?? 0;
}

beforeAll(buildProgram);

describe.each(driversUnderTest())("a control plane that hangs on %s", (driver) => {
  it("is named by every command that asks it, and left alone; logs and ps work without it", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    const pid = await hang(scenario);
    const named = driver === "process" ? `process ${pid}, hangs` : `control plane of ${scenario.name} hangs`;

    const status = await scenario.flowctl("status", "--json");
    expect(status.code).toBe(4);
    expect(JSON.parse(status.stderr)).toMatchObject({ error: { message: expect.stringContaining(named) } });
    expect(JSON.parse(status.stderr).error.fix).toContain("flowctl down");

    const ps = await scenario.flowctl("ps");
    expect(ps.code).toBe(0);
    expect(ps.stdout).toMatch(/^ticks-1 /m);
    expect(ps.stderr).toContain(named);

    const wait = await scenario.flowctl("wait", "--timeout", "1");
    expect(wait.code).toBe(7);
    expect(wait.stderr).toContain("its control plane did not answer");

    expect((await scenario.flowctl("logs")).code).toBe(0);

    const before = (await scenario.lines("out.jsonl")).length;
    await eventually("more events", async () => (await scenario.lines("out.jsonl")).length > before);
    scenario.passed();
  });

  it("is replaced by up, over which components go on", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await hang(scenario);
    const before = await scenario.flowctl("ps", "--json");
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const refs = (text: string): readonly string[] =>
      (JSON.parse(text) as { component: string; ref: string }[])
        .filter(({ component }) => component !== "control-plane")
        .map(({ ref }) => ref)
        .sort();
    expect(refs(await scenario.succeed("ps", "--json"))).toEqual(refs(before.stdout));
    expect(await scenario.succeed("status")).toContain(" running");
    scenario.passed();
  });

  it("is ended by down with everything else", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await hang(scenario);
    const { code, stderr } = await scenario.flowctl("down", "-v");
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: .*hangs or is stopped/);
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
