import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

const engine = { unit: "motor.service", variables: ["MOTOR_HOST"] };

describe("the unit of a pipeline whose driver runs on an engine", () => {
  async function unitOf(driver: MemoryDriver, ...flags: readonly string[]): Promise<string> {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
    cli.env = { ...cli.env, MOTOR_HOST: "tcp://there" };
    return (await cli.run("service", "install", "--print", ...flags)).stdout;
  }

  it("takes along by which variables the engine is found", async () => {
    expect(await unitOf(new MemoryDriver({ engine }), "--user")).toContain("Environment=MOTOR_HOST=tcp://there\n");
    expect(await unitOf(new MemoryDriver(), "--user")).not.toContain("MOTOR_HOST");
  });

  it("needs the unit of the engine, but not from a user's service manager", async () => {
    const isRoot = process.getuid?.() === 0;
    const text = await unitOf(new MemoryDriver({ engine }));
    expect(text.includes("Requires=motor.service\nAfter=motor.service\n")).toBe(isRoot);
    expect(await unitOf(new MemoryDriver({ engine }), "--user")).not.toContain("motor.service");
  });
});
