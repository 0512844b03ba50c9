import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

it.each(["up", "run"])(
  "an attached %s that is refused leaves what another command has started as it is",
  async (name) => {
    const driver = new MemoryDriver({
      name: "process",
      onApply: async ({ action }, { pipeline }) => {
        // Both saw that nothing was there; the other one is the first to be heard.
        if (action === "create") cli.controlPlane.operation = `flowctl up -d -p ${pipeline}`;
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    const { code, stderr } = await cli.run(name);
    expect(code, stderr).toBe(6);
    expect(stderr).toContain("`flowctl up -d -p demo` is changing this pipeline");
    expect(driver.applied.filter((step) => /^(?:stop|remove)/.test(step))).toEqual([]);
  },
);
