import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

describe("the name of a pipeline in the place of an id", () => {
  it.each([
    ["logs", ""],
    ["stop", ""],
    ["start", ""],
    ["restart", ""],
    ["inspect", " <id>"],
  ])("%s tells how it is given", async (command, rest) => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    await cli.run("up", "-d", "-p", "other");
    const id = await cli.run(command, "uot");
    expect(id.code).toBe(5);
    expect(id.stderr).toContain("fix  Use one of numbers, out");
    const name = await cli.run(command, "other");
    expect(name.code).toBe(5);
    expect(name.stderr).toContain(`fix  Type \`flowctl ${command} -p other${rest}\`: other is a pipeline`);
    await rm(join(cli.folder, "flowctl.yaml"));
    const one = await cli.run(command, "other");
    expect(one.code).toBe(2);
    expect(one.stderr).toContain("Several pipelines exist: demo, other");
    expect(one.stderr).toContain(`fix  Type \`flowctl ${command} -p other${rest}\`: other is a pipeline`);
  });

  it("is told also where nothing of the file's own pipeline exists; the ids beside it are kept", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d", "-p", "other");
    const { code, stderr } = await cli.run("logs", "other", "out");
    expect(code).toBe(5);
    expect(stderr).toContain("Pipeline demo does not exist");
    expect(stderr).toContain("fix  Type `flowctl logs -p other out`: other is a pipeline");
  });
});
