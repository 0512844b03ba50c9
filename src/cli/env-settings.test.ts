import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";
import { withEnvSettings } from "./env-settings.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

describe("a .env file", () => {
  it("makes settings, below the environment and flags", async () => {
    const drivers = [new MemoryDriver({ name: "process" }), new MemoryDriver({ name: "docker" })];
    const files = { "flowctl.yaml": FILE, ".env": "FLOWCTL_DRIVER=docker\nFLOWCTL_PROJECT_NAME=of-env\n" };
    await using cli = await CliHarness.create(files, drivers);
    expect((await cli.run("up", "--dry-run")).stderr).toContain("of-env on docker (chosen by FLOWCTL_DRIVER)");
    expect((await cli.run("up", "--dry-run", "-p", "mine")).stderr).toContain("mine on docker");
    cli.env = { ...cli.env, FLOWCTL_DRIVER: "process" };
    expect((await cli.run("up", "--dry-run")).stderr).toContain("of-env on process");
  });

  it("beside the pipeline file counts in the folders below it, with its paths relative to itself", async () => {
    await using cli = await CliHarness.create({
      "flowctl.yaml": "name: not-this-one",
      "other.yaml": FILE,
      ".env": "FLOWCTL_FILE=other.yaml\n",
      "below/notes.txt": "",
    });
    cli.cwd = `${cli.folder}/below`;
    expect((await cli.run("validate")).stderr).toContain("demo is valid");
  });

  it("is the one that the file which is named is interpolated with, not another", async () => {
    const other = FILE.replace("name: demo", "name: ${FLOWCTL_PROJECT_NAME}");
    await using cli = await CliHarness.create({
      "a/.env": "FLOWCTL_PROJECT_NAME=of-a\n",
      "b/.env": "FLOWCTL_PROJECT_NAME=of-b\n",
      "b/flowctl.yaml": other,
    });
    cli.cwd = `${cli.folder}/a`;
    expect((await cli.run("up", "--dry-run", "-f", "../b/flowctl.yaml")).stderr).toContain("of-b on process");
    expect((await cli.run("up", "--dry-run", "../b/flowctl.yaml")).stderr).toContain("of-b on process");
  });

  it("that is wrong or sets nothing of flowctl's is passed over", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE, ".env": 'A="open\nFLOWCTL_HOME=/nowhere\n' });
    expect((await cli.run("version")).code).toBe(0);
  });

  it("gives every setting that it may hold, exported or not, and nothing else", async () => {
    const settings = {
      FLOWCTL_DRIVER: "docker",
      FLOWCTL_PROJECT_NAME: "of-env",
      FLOWCTL_PROFILES: "debug",
      FLOWCTL_LOG_LEVEL: "warn",
      FLOWCTL_PERSISTENCE: "memory",
      FLOWCTL_PROGRESS: "plain",
    };
    const lines = Object.entries(settings).map(([name, value]) => `export ${name}=${value}`);
    const others = ["FLOWCTL_HOME=/nowhere", "FLOWCTL_JSON=1", "PATH=/nowhere"];
    await using cli = await CliHarness.create({ ".env": [...lines, ...others, ""].join("\n") });
    expect((await withEnvSettings({ files: [] }, { HOME: "/home" }, cli.folder)).env).toEqual({
      HOME: "/home",
      ...settings,
    });
  });

  it("that is named with --env-file or FLOWCTL_ENV_FILE counts in place of the one beside the file", async () => {
    await using cli = await CliHarness.create({
      ".env": "FLOWCTL_DRIVER=docker\n",
      "other/ci.env": "export FLOWCTL_DRIVER=process\n  export FLOWCTL_FILE=a.yaml:b.yaml\n",
    });
    const FLOWCTL_FILE = ["a.yaml", "b.yaml"].map((file) => join(cli.folder, "other", file)).join(":");
    const expected = { FLOWCTL_DRIVER: "process", FLOWCTL_FILE };
    expect((await withEnvSettings({ envFile: "other/ci.env", files: [] }, {}, cli.folder)).env).toEqual(expected);
    const env = { FLOWCTL_ENV_FILE: "other/ci.env" };
    expect((await withEnvSettings({ files: [] }, env, cli.folder)).env).toEqual({ ...env, ...expected });
  });

  it("with a name that is nearly a setting is warned of, and with another one is not", async () => {
    const lines = ["FLOWCTL_DRIVR=process", "FLOWCTL_PROJECT=x", "FLOWCTL_HOME=/nowhere", "FLOWCTL_TOKEN=abc"];
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE, ".env": lines.join("\n") });
    const { stderr } = await cli.run("validate");
    expect(stderr).toContain("FLOWCTL_DRIVR in .env is not a setting\n  fix  Did you mean FLOWCTL_DRIVER?");
    expect(stderr).toContain("FLOWCTL_PROJECT in .env is not a setting\n  fix  Did you mean FLOWCTL_PROJECT_NAME?");
    expect(stderr.match(/is not a setting/g)).toHaveLength(2);
  });

  it("with a value that a setting cannot have is refused as the environment is", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE, ".env": "FLOWCTL_DRIVER=dokcer\n" });
    const { code, stderr } = await cli.run("validate");
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /FLOWCTL_DRIVER in \.env is "dokcer"\n {2}fix {2}Set it to .*, or remove it\n {2}code cli\/environment/,
    );
  });
});

describe("a file beside the pipeline file", () => {
  it("named flowctl.override.yaml is laid over it, unless files are named", async () => {
    await using cli = await CliHarness.create({
      "flowctl.yaml": FILE,
      "flowctl.override.yaml": "sources: { numbers: { with: { rate: 7 } } }\n",
    });
    expect((await cli.run("config")).stdout).toContain("rate: 7");
    expect((await cli.run("config", "-f", "flowctl.yaml")).stdout).not.toContain("rate: 7");
  });
});

describe("a file that is an argument", () => {
  it("has those of -f laid over it, and those of the environment not", async () => {
    await using cli = await CliHarness.create({
      "demo.yaml": FILE,
      "faster.yaml": "sources: { numbers: { with: { rate: 7 } } }\n",
    });
    expect((await cli.run("config", "demo.yaml", "-f", "faster.yaml")).stdout).toContain("rate: 7");
    expect(await cli.run("up", "-d", "demo.yaml", "-f", "faster.yaml")).toMatchObject({ code: 0 });
    expect((await cli.run("up", "--dry-run", "demo.yaml", "-f", "faster.yaml")).stdout).toContain("nothing to do");
    expect(await cli.run("down", "demo.yaml", "-f", "faster.yaml")).toMatchObject({ code: 0 });
    cli.env.FLOWCTL_FILE = "faster.yaml";
    expect((await cli.run("config", "demo.yaml")).stdout).not.toContain("rate: 7");
  });
});

describe("a component in place of a file", () => {
  it("is named as one, with what acts on one", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    const { code, stderr } = await cli.run("up", "-d", "out");
    expect(code).toBe(2);
    expect(stderr).toContain("out is part of demo, and this command takes files");
    expect(stderr).toContain("`flowctl restart -p demo out`");
    expect((await cli.run("up", "-d", "nobody")).stderr).toContain("pipeline/file-missing");
  });
});
