import { join } from "node:path";
import { expect, it } from "vitest";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks:
  out: { uses: discard, inputs: [numbers], environment: { WHERE: "\${WHERE:?set it}" } }
  more: { uses: discard, inputs: [numbers], profiles: [more] }
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
