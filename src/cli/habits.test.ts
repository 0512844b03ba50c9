import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

const COMPOSE = [
  ...[
    "attach",
    "build",
    "cp",
    "create",
    "exec",
    "images",
    "kill",
    "ls",
    "pause",
    "port",
    "pull",
    "push",
    "rm",
    "stats",
  ],
  ...["top", "unpause", "volumes", "watch"],
];

describe("a command of Docker Compose, kubectl or git that flowctl does not have", () => {
  it.each([...COMPOSE, "apply", "get", "describe", "delete", "diff", "log"])(
    "is answered with what does it here: %s",
    async (word) => {
      await using cli = await CliHarness.create({});
      const { code, stderr } = await cli.run(word, "a", "-b");
      expect(code).toBe(2);
      expect(stderr).toContain(`unknown command '${word}'`);
      expect(stderr).toMatch(/fix {2}.*`(flowctl|docker) |pull_policy/);
      expect(stderr).not.toContain("Did you mean");
    },
  );

  it("is no wrong guess: what is like nothing gets none", async () => {
    await using cli = await CliHarness.create({});
    for (const word of ["frobnicate", "xx", "sop-it"])
      expect((await cli.run(word)).stderr).not.toContain("Did you mean");
    expect((await cli.run("stauts")).stderr).toContain("Did you mean status?");
  });
});

describe("options before the command", () => {
  it("are those of the command", async () => {
    await using cli = await CliHarness.create({ "other.yaml": FILE });
    const { code, stdout } = await cli.run("-f", "other.yaml", "-p", "mine", "--json", "up", "-d");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ pipeline: "mine" });
    expect(JSON.parse((await cli.run("--project-name=mine", "--format", "json", "ps")).stdout)).toHaveLength(3);
    // Where `-f` means something else to the command, too.
    expect((await cli.run("-f", "other.yaml", "-p", "mine", "logs")).code).toBe(0);
    // Of a command below a command, too: it finds that this pipeline has no dead letters.
    expect((await cli.run("-f", "other.yaml", "-p", "mine", "dead-letters", "list")).stderr).toMatch(/dead.letter/);
  });

  it("are refused where the command has no use for them, or none follows", async () => {
    await using cli = await CliHarness.create({});
    expect(await cli.run("-f", "x.yaml", "version")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("'--file'"),
    });
    expect(await cli.run("-f", "x.yaml")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("`flowctl up -f FILE`"),
    });
  });
});

describe("options by the names that Compose gives them", () => {
  it("do the same", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    expect((await cli.run("up", "--wait", "--wait-timeout", "60", "--remove-orphans", "--no-log-prefix")).code).toBe(0);
    expect((await cli.run("ps", "--services")).stdout.trim().split("\n").sort()).toEqual(["numbers", "out"]);
    const refs = (await cli.run("ps", "-q")).stdout.trim().split("\n");
    const instances = JSON.parse((await cli.run("ps", "--format", "json")).stdout) as { ref: string }[];
    expect(refs).toEqual(instances.map(({ ref }) => ref));
    expect((await cli.run("ps", "--format", "table")).stdout).toContain("INSTANCE");
    expect((await cli.run("logs", "-n", "5", "--no-log-prefix")).code).toBe(0);
    expect((await cli.run("stop", "-t", "3", "out")).code).toBe(0);
    expect((await cli.run("down", "-t", "3", "--remove-orphans")).code).toBe(0);
  });

  it("are answered with what does it here where there is none", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    expect((await cli.run("up", "--pull", "always")).stderr).toContain("`pull_policy` in the file");
    expect((await cli.run("up", "-t", "5")).stderr).toContain("`stop_grace_period` in the file");
    expect((await cli.run("up", "--detatch")).stderr).toContain("Did you mean --detach?");
  });
});

describe("ps and down of a pipeline of which nothing exists", () => {
  it("end with 0, and say so", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    for (const args of [["ps"], ["down"], ["down", "-v"], ["ps", "another"]]) {
      const { code, stdout, stderr } = await cli.run(...args);
      expect([code, stdout]).toEqual([0, ""]);
      expect(stderr).toMatch(/Pipeline (demo|another) does not exist/);
    }
    expect((await cli.run("ps", "--json")).stdout.trim()).toBe("[]");
    expect(JSON.parse((await cli.run("down", "--json")).stdout)).toMatchObject({ changes: [] });
  });

  it("do not where it runs under another name", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    await cli.write("flowctl.yaml", FILE.replace("demo", "renamed"));
    for (const command of ["ps", "down"]) {
      const { code, stderr } = await cli.run(command);
      expect(code).toBe(5);
      expect(stderr).toContain("this folder has demo, under another name");
    }
  });
});

describe("an expression in braces", () => {
  it("is to be quoted, as YAML takes it for a mapping", async () => {
    const big = `{payload.sequence > 3 ? "a" : "b"}`;
    const map = `processors: { m: { uses: map, inputs: [numbers], with: { set: { big: ${big} } } } }\n`;
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE.replace("sinks:", `${map}sinks:`) });
    const { code, stderr } = await cli.run("validate");
    expect(code).toBe(3);
    expect(stderr).toContain("fix: Quote the whole expression");
  });
});
