import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";

const file = (secret: string): string => `name: demo
sources: { numbers: { uses: generator, with: { count: 1 } } }
sinks: { out: { uses: discard, inputs: [numbers], secrets: [key] } }
secrets:
  key: ${secret}
`;

const prints = (code: string): string => file(`{ command: ["${process.execPath}", "-e", ${JSON.stringify(code)}] }`);

/** Leaves a trace where it runs, and prints a value. */
const TRACED = prints("require('fs').appendFileSync('ran.txt', 'x'); console.log('planted' + '-value')");

describe("a secret that a command prints", () => {
  it("is given to the driver by `up`, and `up` shows nothing of it", async () => {
    const values: (string | undefined)[] = [];
    const driver = new MemoryDriver({
      onApply: (_change, { deployment }) => {
        values.push(Buffer.from(deployment?.secretValues.get("key") ?? []).toString());
      },
    });
    await using cli = await CliHarness.create({ "flowctl.yaml": TRACED }, [driver]);
    const { code, stdout, stderr } = await cli.run("up", "-d");
    expect(code).toBe(0);
    expect(new Set(values)).toEqual(new Set(["planted-value"]));
    expect(stdout + stderr).not.toContain("planted-value");
  });

  it("is not asked for by commands that only look", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": TRACED });
    const ran = join(cli.folder, "ran.txt");
    for (const command of ["validate", "config", "graph", "doctor", "status", "ps"]) {
      await cli.run(command);
      expect(existsSync(ran), command).toBe(false);
    }
    expect((await cli.run("up", "-d")).code).toBe(0);
    expect(existsSync(ran)).toBe(true);
  });

  it.each([
    ["not there", file("{ command: [no-such-program-at-all] }"), "cli/secret-command-not-found"],
    ["a failure", prints("console.error('not signed in'); process.exit(3)"), "cli/secret-command-failed"],
    ["nothing", prints(""), "cli/secret-command-empty"],
  ])("is reported with its place in the file, code and fix: %s", async (_, text, expected) => {
    const driver = new MemoryDriver();
    await using cli = await CliHarness.create({ "flowctl.yaml": text }, [driver]);
    const { code, stderr } = await cli.run("up", "-d");
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/flowctl\.yaml:5:\d+/);
    expect(stderr).toContain(`code ${expected}`);
    expect(stderr).toMatch(/fix|Run `|Install|Check/);
    expect(driver.applied).toEqual([]);
  });
});

it("says where an external secret could come from", async () => {
  await using cli = await CliHarness.create({ "flowctl.yaml": file("{ external: true }") });
  const { stderr } = await cli.run("up", "-d");
  expect(stderr).toMatch(/flowctl\.yaml:5/);
  expect(stderr).toContain("Set `file`, `environment` or `command`");
});
