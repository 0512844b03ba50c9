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

describe("after `flowctl stop`", () => {
  const FROM_FILE = file("{ file: ./key.txt }");

  /** A pipeline that was stopped, and the values that the driver is given for each change from then on. */
  async function stopped(text: string) {
    const given: string[] = [];
    const driver = new MemoryDriver({
      onApply: ({ action }, { deployment }) => {
        given.push(`${action} ${Buffer.from(deployment?.secretValues.get("key") ?? []).toString()}`);
      },
    });
    const cli = await CliHarness.create({ "flowctl.yaml": text, "key.txt": "one" }, [driver]);
    cli.env.KEY = "one";
    expect((await cli.run("up", "-d")).code).toBe(0);
    expect((await cli.run("stop")).code).toBe(0);
    given.length = 0;
    return { cli, given };
  }

  it.each(["start", "restart"])("`%s` reads secrets again, and says when they have another value", async (command) => {
    const { cli, given } = await stopped(FROM_FILE);
    await using _ = cli;
    const same = await cli.run(command, "out");
    expect([same.code, given]).toEqual([0, [`${command} one`]]);
    expect(same.stderr).not.toContain("current value");
    await cli.run("stop");
    await cli.write("key.txt", "two");
    given.length = 0;
    const other = await cli.run(command, "out");
    expect([other.code, given]).toEqual([0, [`${command} two`]]);
    expect(other.stderr).toContain("Starting with the current value of key");
  });

  it("nothing is started without the value of a secret, and no other secrets are read", async () => {
    const { cli, given } = await stopped(file("{ environment: KEY }"));
    await using _ = cli;
    delete cli.env.KEY;
    // The file is not valid without it, and what is applied counts.
    const { code, stderr } = await cli.run("start", "-p", "demo");
    expect(code).not.toBe(0);
    expect(stderr).toContain("KEY is not set");
    expect(stderr).toContain("code cli/secret-missing");
    expect(given).toEqual([]);
    expect((await cli.run("start", "-p", "demo", "numbers")).code).toBe(0);
    expect(given).toEqual(["start "]);
  });

  it("the file says where secrets come from where that is not stored, else nothing is started", async () => {
    const { cli, given } = await stopped(FROM_FILE);
    await using _ = cli;
    cli.controlPlane.kept = {};
    const unknown = await cli.run("start", "-p", "demo", "out");
    expect(unknown.code).not.toBe(0);
    expect(unknown.stderr).toContain("code cli/secrets-unknown");
    expect(given).toEqual([]);
    expect((await cli.run("start", "out")).code).toBe(0);
    expect(given).toEqual(["start one"]);
  });
});
