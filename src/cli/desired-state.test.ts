import { describe, expect, it } from "vitest";
import type { ObservedState } from "../drivers/driver.ts";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors: { even: { uses: filter, inputs: [numbers], with: { where: "true" } } }
sinks: { out: { uses: discard, inputs: [even] } }
`;
const exited = (exitCode: number): ObservedState => ({
  status: "exited",
  exitCode,
  oomKilled: false,
  finishedAt: 0,
  restarts: 0,
});

describe("what is wanted", () => {
  const log = (cli: CliHarness): readonly string[] => {
    const [driver] = cli.drivers as [MemoryDriver];
    const entries: string[] = [];
    const { desired } = cli.controlPlane;
    const push = desired.push.bind(desired);
    desired.push = (...said) => {
      entries.push(...said);
      return push(...said);
    };
    const { applied } = driver;
    const apply = applied.push.bind(applied);
    applied.push = (...steps) => {
      entries.push(...steps);
      return apply(...steps);
    };
    return entries;
  };

  it("is told to the control plane before anything is started, restarted, replaced or stopped", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    expect(cli.controlPlane.desired).toEqual(["started even-1 numbers-1 out-1"]);
    const entries = log(cli) as string[];
    expect(await cli.run("restart", "even")).toMatchObject({ code: 0 });
    expect(entries.splice(0)).toEqual(["started even-1, renewed even-1", "restart component/even-1"]);
    expect(await cli.run("stop", "even")).toMatchObject({ code: 0 });
    expect(entries.splice(0)).toEqual(["stopped even-1", "stop component/even-1"]);
    expect(await cli.run("start", "even")).toMatchObject({ code: 0 });
    expect(entries.splice(0)).toEqual(["started even-1", "start component/even-1"]);
    expect(await cli.run("up", "-d", "--force-recreate")).toMatchObject({ code: 0 });
    expect(entries.at(0)).toMatch(/^started even-1 numbers-1 out-1/);
    expect(entries.at(1)).toBe("replace control-plane/1");
    expect(entries.at(2)).toMatch(/^started even-1 numbers-1 out-1/);
    entries.splice(0);
    expect(await cli.run("down")).toMatchObject({ code: 0 });
    expect(entries.at(0)).toBe("stopped all");
  });

  it("of instances that another component's change leaves alone is that they run, and completed ones stay so", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.controlPlane.desired.splice(0);
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    expect(cli.controlPlane.desired).toEqual(["running even-1 numbers-1 out-1"]);
  });

  it("to be stopped is told of what does not run, too: it is not restarted", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const [driver] = cli.drivers as [MemoryDriver];
    const world = driver.state.get("demo");
    const even = world?.get("component/even-1");
    if (even) world?.set("component/even-1", { ...even, state: exited(1) });
    cli.controlPlane.desired.splice(0);
    const { code, stderr } = await cli.run("stop", "even");
    expect(code).toBe(0);
    expect(cli.controlPlane.desired).toEqual(["stopped even-1"]);
    expect(stderr).toContain("Not running, and will not be restarted: even-1");
  });

  it("is changed in the name of the operation that the command holds, so that nobody hears it once another took over", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    for (const command of [["up", "-d"], ["restart", "even"], ["scale", "even=2"], ["stop"]]) {
      cli.controlPlane.askedBy.splice(0);
      expect(await cli.run(...command)).toMatchObject({ code: 0 });
      expect(new Set(cli.controlPlane.askedBy)).toEqual(new Set([cli.controlPlane.operations]));
    }
  });

  it("changes by one command at a time: a second one is refused, and stop and down take over", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    cli.controlPlane.operation = "flowctl down";
    for (const command of [["up", "-d"], ["restart"], ["start"], ["scale", "even=2"]]) {
      const { code, stderr } = await cli.run(...command);
      expect(code, stderr).toBe(6);
      expect(stderr).toContain("`flowctl down` is changing this pipeline");
    }
    expect(await cli.run("down")).toMatchObject({ code: 0 });
  });

  it("is told before the time of stop --timeout begins: waiting for the control plane takes nothing of it", async () => {
    const forced: (boolean | undefined)[] = [];
    const driver = new MemoryDriver({
      onApply: ({ action }, { force }) => {
        if (action === "stop") forced.push(force);
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    let refused = 0;
    Object.defineProperty(cli.controlPlane, "away", { get: () => ++refused <= 8 });
    expect(await cli.run("stop", "--timeout", "500ms")).toMatchObject({ code: 0 });
    expect(refused).toBeGreaterThan(8);
    expect(forced).toEqual([undefined, undefined, undefined]);
  });

  it("is told before anything is killed, however soon the second interrupt comes after the first", async () => {
    const killed: (readonly string[])[] = [];
    const driver = new MemoryDriver({
      onApply: ({ action }, { force }) => {
        if (action === "stop" && force === true) killed.push([...cli.controlPlane.desired]);
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    const up = cli.run("up");
    while (cli.controlPlane.desired.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    let asked = 0;
    Object.defineProperty(cli.controlPlane, "away", { get: () => cli.first.signal.aborted && ++asked <= 8 });
    cli.first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
    cli.second.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
    await up;
    expect(killed.length).toBeGreaterThan(0);
    for (const told of killed) expect(told).toContain("stopped all");
  });
});
