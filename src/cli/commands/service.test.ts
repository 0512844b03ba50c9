import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHarness } from "../cli-harness.fake.ts";
import { ExitCode } from "../exit-codes.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks:
  out: { uses: discard, inputs: [numbers], environment: { WHERE: "\${WHERE:?set it}" } }
  more: { uses: discard, inputs: [numbers], profiles: [more] }
`;

const PLAIN = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

it("the unit has up what the command was given: the same file, name, env file and profiles", async () => {
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE, "prod.env": "WHERE=there\n" });
  const { code, stdout, stderr } = await cli.run(
    ...["service", "install", "--print", "--env-file", "prod.env", "--profile", "more", "-p", "mine"],
  );
  expect(code, stderr).toBe(0);
  const options = `-p mine -f ${join(cli.folder, "flowctl.yaml")} --env-file ${join(cli.folder, "prod.env")} --profile more`;
  expect(stdout).toMatch(new RegExp(`ExecStart=.* up -d ${options} --driver process\n`));
  expect(stdout).toMatch(new RegExp(`ExecStop=.* stop ${options} --driver process\n`));
});

describe("flowctl service", () => {
  it("writes the unit, says where, knows it again, and removes it", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": PLAIN });
    cli.hasSystemd = true;
    const path = join(cli.folder, ".config/systemd/user/flowctl-demo.service");
    cli.env.XDG_CONFIG_HOME = join(cli.folder, ".config");
    // Whatever the machine has, its own systemd is not asked.
    cli.env.PATH = cli.folder;
    expect((await cli.run("service", "status", "--user")).code).toBe(ExitCode.notFound);
    const { code, stderr, stdout } = await cli.run("service", "install", "--user");
    expect(code, stderr).toBe(ExitCode.ok);
    expect(stderr).toContain(path);
    expect((await readFile(path, "utf8")).trimEnd()).toBe(stdout.trimEnd());
    const status = JSON.parse((await cli.run("service", "status", "--user", "--json")).stdout) as unknown;
    expect(status).toMatchObject({ path, isCurrent: true });
    expect((await cli.run("service", "uninstall", "--user")).code).toBe(ExitCode.ok);
    expect(existsSync(path)).toBe(false);
  });

  it("writes none where systemd does not run", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": PLAIN });
    cli.env.XDG_CONFIG_HOME = join(cli.folder, ".config");
    const { code, stderr } = await cli.run("service", "install", "--user");
    expect(code).toBe(ExitCode.unavailable);
    expect(stderr).toContain("cli/no-systemd");
    expect(existsSync(join(cli.folder, ".config"))).toBe(false);
    expect((await cli.run("service", "install", "--user", "--print")).stdout).toContain("[Service]");
  });
});
