import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

describe("an instance that runs and has no health check of its own", () => {
  it.each([
    [false, "healthy"],
    [true, "running"],
  ])("is said to run, not to start, where there is no control plane to ask (%s)", async (away, state) => {
    const driver = new MemoryDriver({
      name: "process",
      startedState: ({ kind }) => ({
        ...{ status: "running", startedAt: 0, restarts: 0 },
        health: kind === "component" ? "none" : "healthy",
      }),
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    cli.controlPlane.away = away;
    const { stdout } = await cli.run("ps", "--json");
    const states = (JSON.parse(stdout) as { component: string; state: string }[])
      .filter(({ component }) => component !== "control-plane")
      .map((one) => one.state);
    expect(states).toEqual([state, state]);
  });
});
