import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  out: { uses: stdout, inputs: [numbers] }
`;

it("an up while the control plane comes back removes nothing before that has heard of the change", async () => {
  const told: number[] = [];
  const driver = new MemoryDriver({
    name: "process",
    onApply: async ({ action }) => {
      if (action === "remove") told.push(cli.controlPlane.applied);
    },
  });
  await using cli = await CliHarness.create(
    { "flowctl.yaml": `${FILE}  more: { uses: discard, inputs: [numbers] }\n` },
    [driver],
  );
  await cli.run("up", "-d");
  await cli.write("flowctl.yaml", FILE);
  let refused = 0;
  Object.defineProperty(cli.controlPlane, "away", { get: () => ++refused <= 3 });
  // The fake says of everything that stays that it is well, and knows nothing of what has left.
  expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
  expect(refused).toBeGreaterThan(3);
  expect(told).toEqual([2]);
});
