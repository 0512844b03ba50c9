import { expect, it } from "vitest";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

it("wait says of a pipeline that was stopped that it is, and how to start it", async () => {
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
  expect((await cli.run("up", "-d")).code).toBe(0);
  const running = await cli.run("wait", "--timeout", "0.05");
  expect(running.stderr).toContain("demo was not completed within 50ms; it is running");
  expect(running.stderr).toContain("flowctl status -p demo");
  expect((await cli.run("stop")).code).toBe(0);
  const { code, stderr } = await cli.run("wait", "--timeout", "0.05");
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/demo was not completed within 50ms; it is stopped\n/);
  expect(stderr).toContain("Start it with `flowctl start -p demo`");
});
