import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { signalProcess } from "../../src/drivers/process/instance/process-identity.ts";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const ENDLESS = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } }
`;

/** Its processors fail at the first event, again and again. */
const CRASHING = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
processors:
  archive: { uses: filter, inputs: [numbers], restart: "on-failure:50", with: { where: payload.missing > 1 } }
  witness: { uses: filter, inputs: [numbers], restart: "on-failure:50", with: { where: payload.missing > 1 } }
sinks:
  kept: { uses: discard, inputs: [archive, witness] }
`;

interface Seen {
  readonly type: string;
  readonly instanceId: string;
}

interface Status {
  readonly state: string;
  readonly components: readonly {
    readonly id: string;
    readonly instances: readonly { readonly totals: { readonly eventsIn: number; readonly eventsOut: number } }[];
  }[];
}

const run = promisify(execFile);

async function startsOf(scenario: Scenario, instance: string): Promise<number> {
  const events = (await scenario.succeed("events", "--json"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Seen);
  return events.filter(({ type, instanceId }) => type === "instance.started" && instanceId === instance).length;
}

async function instance(scenario: Scenario, name: string) {
  return (await scenario.instances()).find((one) => one.instance === name);
}

/** The processes that a reference of the driver stands for, the innermost last. */
async function pidsOf(scenario: Scenario, ref: string): Promise<readonly number[]> {
  if (ref === "") throw new Error("it does not run, and cannot be killed");
  if (scenario.driver === "process") return [Number(ref)];
  const { stdout } = await run("docker", ["top", ref, "-o", "pid"]);
  return stdout.trim().split("\n").slice(1).map(Number);
}

/** What somebody does who does not know flowctl. */
async function stopByHand(scenario: Scenario, ref: string): Promise<void> {
  if (scenario.driver === "docker") await run("docker", ["stop", ref]);
  else process.kill(Number(ref), "SIGTERM");
}

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("desired state on %s", (driver) => {
  it("stop ends also what waits to be restarted: it is not started again, nor after a new control plane", async () => {
    await using scenario = await Scenario.on(driver, CRASHING);
    await scenario.succeed("up", "-d");
    const often = (name: string, times: number) =>
      eventually(`${name} started ${times} times`, async () => (await startsOf(scenario, name)) >= times);
    await often("archive-1", 3);
    await scenario.succeed("stop", "archive");
    const before = await startsOf(scenario, "archive-1");
    const controlPlane = (await instance(scenario, "control-plane"))?.ref ?? "";
    for (const pid of await pidsOf(scenario, controlPlane)) signalProcess(pid, "SIGKILL");
    if (driver === "process") await scenario.succeed("restart", "numbers");
    await eventually("its control plane", async () => (await scenario.flowctl("status")).code === 0);
    // The other one, which crashes as often, has then waited at least as long as this one would have had to.
    await often("witness-1", Math.max(before, await startsOf(scenario, "witness-1")) + 2);
    expect(await startsOf(scenario, "archive-1")).toBe(before);
    expect((await instance(scenario, "archive-1"))?.state).not.toMatch(/running|healthy|starting/);
    scenario.passed();
  });

  it("what somebody ended from outside is started again; what was stopped by flowctl is not", async () => {
    await using scenario = await Scenario.on(driver, ENDLESS);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const endFromOutside = async (name: string): Promise<void> => {
      const starts = await startsOf(scenario, name);
      await stopByHand(scenario, (await instance(scenario, name))?.ref ?? "");
      await eventually("a new start", async () => (await startsOf(scenario, name)) > starts);
      await eventually("its health", async () => (await instance(scenario, name))?.state === "healthy");
    };
    await endFromOutside("archive-1");
    await scenario.succeed("stop", "archive");
    const after = await startsOf(scenario, "archive-1");
    // The supervisor looks at all of them: by the time it has started one, it would have started the other.
    await endFromOutside("numbers-1");
    expect((await instance(scenario, "archive-1"))?.state).not.toMatch(/healthy|running|starting/);
    expect(await startsOf(scenario, "archive-1")).toBe(after);
    await scenario.succeed("start");
    await eventually("all healthy", async () =>
      (await scenario.instances()).every(({ state }) => state === "healthy" || state === "running"),
    );
    scenario.passed();
  });

  it("up while down is at work is refused, or all of it runs", async () => {
    await using scenario = await Scenario.on(driver, ENDLESS);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const down = scenario.start("down");
    await down.until(/numbers-1 (Stopping|Removing)/);
    const up = await scenario.flowctl("up", "-d");
    expect((await down.ended).code).toBe(0);
    if (up.code === 0) {
      await eventually("all healthy", async () => {
        const instances = await scenario.instances();
        return instances.length === 3 && instances.every(({ state }) => state === "healthy" || state === "running");
      });
    } else expect(up.stderr).toMatch(/operation-under-way|busy|no-control-plane|taken-over/);
    scenario.passed();
  });

  it("counts go on over a kill of the control plane and of components", async () => {
    await using scenario = await Scenario.on(driver, ENDLESS);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const counted = async (): Promise<number> => {
      const { code, stdout } = await scenario.flowctl("status", "--json");
      if (code !== 0) return 0;
      const { components } = JSON.parse(stdout) as Status;
      return components.find(({ id }) => id === "archive")?.instances[0]?.totals.eventsIn ?? 0;
    };
    await eventually("a count", async () => (await counted()) > 20);
    const refs = await scenario.refs();
    const before = await counted();
    for (const name of ["control-plane", "archive-1"]) {
      for (const pid of await pidsOf(scenario, refs[name] ?? "")) signalProcess(pid, "SIGKILL");
    }
    if (driver === "process") await scenario.succeed("up", "-d");
    await eventually("the control plane", async () => (await scenario.flowctl("status")).code === 0);
    expect(await counted()).toBeGreaterThanOrEqual(before);
    await eventually("more", async () => (await counted()) > before);
    scenario.passed();
  });
});
