import { describe, expect, it } from "vitest";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: file, inputs: [numbers], with: { path: ./out.jsonl } } }
`;

describe("the summary of a run", () => {
  it.each([
    ["completed", "completed", "out wrote out.jsonl\n"],
    ["failed", "failed", "out failed: out.jsonl may be incomplete\n"],
    ["failed", "stopping", "out did not finish: out.jsonl may be incomplete\n"],
  ] as const)("in state %s says of a sink that is %s: %s", async (state, sink, said) => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    cli.controlPlane.state = state;
    cli.controlPlane.instanceStates.set("out-1", { state: sink, reason: "" });
    expect((await cli.run("run")).stdout).toContain(`\n${said}`);
  });

  it("says nothing of the file of a sink that took no event", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    cli.controlPlane.state = "failed";
    cli.controlPlane.eventsIn = 0;
    cli.controlPlane.instanceStates.set("out-1", { state: "failed", reason: "" });
    expect((await cli.run("run")).stdout).not.toContain("out.jsonl");
  });
});
