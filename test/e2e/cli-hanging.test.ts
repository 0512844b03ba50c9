import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { signalProcess } from "../../src/drivers/process/instance/process-identity.ts";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const pipeline = `
sources: { ticks: { uses: generator, with: { rate: 10 } } }
sinks: { out: { uses: file, inputs: [ticks], with: { path: ./out.jsonl } } }
`;

/** The processes that host the control plane of a scenario, the innermost last. */
async function controlPlanePids(scenario: Scenario): Promise<readonly number[]> {
  const ref = (await scenario.instances()).find(({ component }) => component === "control-plane")?.ref ?? "";
  if (ref === "") throw new Error("there is no control plane");
  if (scenario.driver === "process") return [Number(ref)];
  const { stdout } = await promisify(execFile)("docker", ["top", ref, "-o", "pid"]);
  return stdout.trim().split("\n").slice(1).map(Number);
}

/** The processes that bring the control plane of a scenario back on the process driver. */
async function watchersOf(scenario: Scenario): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const marked = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
      const watches = environment.includes("\0FLOWCTL_WATCHER=") && environment.includes(scenario.folder);
      return watches ? [Number(pid)] : [];
    }),
  );
  return marked.flat();
}

async function stateOf(scenario: Scenario, id: string): Promise<string> {
  const { components } = JSON.parse(await scenario.succeed("status", "--json"));
  return components.find((component: { readonly id: string }) => component.id === id)?.state;
}

/** What `ps` says of the sink. */
async function runOf(scenario: Scenario): Promise<string | undefined> {
  return (await scenario.instances()).find(({ instance }) => instance === "out-1")?.state;
}

/** What runs besides the control plane. */
async function componentRefs(scenario: Scenario): Promise<readonly string[]> {
  const all = await scenario.instances();
  return all
    .filter(({ component }) => component !== "control-plane")
    .map(({ ref }) => ref)
    .sort();
}

/** Makes the control plane of a running pipeline hang once events flow. Returns who hangs. */
async function hang(scenario: Scenario): Promise<number> {
  await eventually("events", async () => (await scenario.lines("out.jsonl")).length > 0);
  const pids = await controlPlanePids(scenario);
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  return pids.at(-1) ?? 0;
}

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("a control plane that hangs on %s", (driver) => {
  it("is named by every command that asks it, and left alone; logs and ps work without it; up replaces it, over which components go on", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const pid = await hang(scenario);
    const named =
      driver === "process"
        ? `(process ${pid}) is not responding`
        : `control plane of ${scenario.name} is not responding`;

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

    const refs = await componentRefs(scenario);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    expect(await componentRefs(scenario)).toEqual(refs);
    expect(await scenario.succeed("status")).toContain(" running");
    scenario.passed();
  });

  it("is restarted by stop, which it would undo, and what was stopped stays so; down ends it with everything else", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await hang(scenario);
    const stopped = await scenario.flowctl("stop", "out");
    expect(stopped, stopped.stderr).toMatchObject({ code: 0 });
    expect(stopped.stderr).toContain("not responding: restarting it");
    expect(await runOf(scenario)).toBe("stopped");
    // It has looked at everything by now, and goes on doing so.
    await scenario.succeed("start", "out");
    expect(await runOf(scenario)).not.toBe("stopped");

    await hang(scenario);
    const { code, stderr } = await scenario.flowctl("down", "-v");
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: .*is not responding/);
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});

describe.concurrent.each(driversUnderTest())("a control plane that nobody brings back on %s", (driver) => {
  /** Ends it together with all that watches it. */
  async function kill(scenario: Scenario): Promise<void> {
    if (driver === "docker") {
      // What was killed by the engine's own command is not restarted by it.
      const all = await scenario.instances();
      const ref = all.find(({ component }) => component === "control-plane")?.ref ?? "";
      await promisify(execFile)("docker", ["kill", ref]);
      return;
    }
    const [pid] = await controlPlanePids(scenario);
    await eventually("a watcher", async () => (await watchersOf(scenario)).length > 0);
    // Or it would start another watcher before it is killed itself.
    signalProcess(pid as number, "SIGSTOP");
    for (const each of [...(await watchersOf(scenario)), pid as number]) signalProcess(each, "SIGKILL");
  }

  it("is started again by stop, which it would undo, and what was stopped stays so; and by an up that waits for what it has changed", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await kill(scenario);
    const stopped = await scenario.flowctl("stop", "out");
    expect(stopped, stopped.stderr).toMatchObject({ code: 0 });
    expect(stopped.stderr).toContain("starting it again");
    await eventually(
      "the other one has registered again",
      async () => (await stateOf(scenario, "ticks")) === "healthy",
    );
    expect(await runOf(scenario)).toBe("stopped");
    expect(await stateOf(scenario, "out")).toBe("stopping");

    await kill(scenario);
    await scenario.pipeline(pipeline.replace("rate: 10", "rate: 11"));
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    expect(await scenario.succeed("status")).toContain(" running");
    scenario.passed();
  });
});
