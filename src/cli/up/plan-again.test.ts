import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { CliHarness, type CliRun } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

/**
 * Runs `up -d` of an edited file, and `meanwhile` while its control plane is replaced: after it was planned, and while the operation is
 * not held. Returns what came of both, and what the first did to components.
 */
async function upWhile(
  meanwhile: (cli: CliHarness) => Promise<CliRun>,
): Promise<{ readonly up: CliRun; readonly other: CliRun | undefined; readonly changes: readonly string[] }> {
  let once: (() => Promise<void>) | undefined;
  const driver = new MemoryDriver({
    name: "process",
    onApply: async (change) => {
      if (change.action !== "replace" || change.resource.kind !== "control-plane") return;
      const now = once;
      once = undefined;
      await now?.();
    },
  });
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
  await cli.write("flowctl.yaml", FILE.replace("sinks: {", "sinks: { more: { uses: discard, inputs: [numbers] },"));
  let other: CliRun | undefined;
  once = async () => {
    cli.controlPlane.restart();
    // Ends only with the streams of those that held it.
    await new Promise((wake) => setImmediate(wake));
    driver.applied.splice(0);
    other = await meanwhile(cli);
  };
  const up = await cli.run("up", "-d", "--no-persistence");
  return { up, other, changes: driver.applied.filter((one) => one.includes("component/")) };
}

describe("an up that another command was quicker than", () => {
  it("goes on with what the other one made, where that is all that it wanted", async () => {
    const { up, other, changes } = await upWhile((cli) => cli.run("up", "-d", "--no-persistence"));
    expect(other?.code, other?.stderr).toBe(0);
    expect(up.code, up.stderr).toBe(0);
    expect(up.stderr).toContain("changed this pipeline after this change was planned; comparing again");
    expect(up.stderr).toContain("demo: nothing to do");
    expect(changes).toContain("create component/more-1");
    expect(new Set(changes).size).toBe(changes.length);
  });

  it("undoes nothing of what the other one made: it says so and ends", async () => {
    const { up, other, changes } = await upWhile((cli) => cli.run("scale", "out=3"));
    expect(other?.code, other?.stderr).toBe(0);
    expect(up.code).toBe(6);
    expect(up.stderr).toContain("code control/changed-since");
    expect(changes).toEqual(["create component/out-2", "create component/out-3"]);
  });
});
