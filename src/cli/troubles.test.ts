import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

describe("status", () => {
  it("says that the control plane does not reach the engine, what follows and what to do, for as long as that is so", async () => {
    const driver = new MemoryDriver();
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    await cli.run("up", "-d");
    const world = driver.state.get("demo")!;
    expect((await cli.run("status")).stdout).not.toContain("engine");
    const controlPlane = { ...world.get("control-plane/1")!, needsEngineAccess: true } as const;
    world.set("control-plane/1", controlPlane);
    expect((await cli.run("status")).stdout).toContain(
      "engine-access is missing: without it the control plane cannot reach the Docker engine: unresponsive components are not restarted, and those that exit are noticed late\n" +
        "  fix            Create it again with `flowctl up -d -p demo` in the pipeline's folder\n",
    );
    const access = { ...controlPlane, key: "engine-access/1", kind: "engine-access" } as const;
    world.set("engine-access/1", { ...access, state: { status: "paused" } });
    const { troubles } = JSON.parse((await cli.run("status", "--json")).stdout) as { troubles: unknown[] };
    expect(troubles).toEqual([
      {
        ...{ instance: "engine-access", state: "paused", restarts: 0, lastLine: "" },
        reason: expect.stringMatching(/^without it /),
        fix: "Start it again with `flowctl up -d -p demo` in the pipeline's folder",
      },
    ]);
    world.set("engine-access/1", access);
    expect((await cli.run("status")).stdout).not.toContain("engine");
  });

  it("says that the control plane was not told what the pipeline is, and what does that", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const told = "the control plane does not know the pipeline";
    expect((await cli.run("status")).stdout).not.toContain(told);
    const { spec: _, ...forgotten } = cli.controlPlane.record();
    cli.controlPlane.record = () => ({ ...forgotten, state: "starting", components: [] });
    const { stdout } = await cli.run("status");
    expect(stdout).toContain(`control-plane is waiting: ${told}, as it was restarted with --no-persistence`);
    expect(stdout).toContain("  fix            Tell it with `flowctl up -d -p demo` in the pipeline's folder\n");
  });
});
