import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;
const BAD_SCHEMA = FILE.replace("uses: discard", "usse: discard");
const BAD_YAML = `${FILE}  sinks: {{{\n`;

async function running(): Promise<CliHarness> {
  const cli = await CliHarness.create({ "flowctl.yaml": FILE });
  expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
  return cli;
}

const keysOf = (cli: CliHarness, name = "demo") => [...(cli.drivers[0]?.state.get(name)?.keys() ?? [])].sort();

describe("a command that needs only the name of a pipeline whose file has mistakes", () => {
  it.each([
    ["ps"],
    ["status"],
    ["logs"],
    ["inspect", "out"],
    ["events"],
    ["restart"],
    ["start"],
    ["stop"],
    ["stop", "-f", "flowctl.yaml"],
    ["down", "-v"],
  ])("goes by what is recorded for the folder, under a warning: %s %s", async (...args) => {
    for (const broken of [BAD_SCHEMA, BAD_YAML, "this is no pipeline", ""]) {
      await using cli = await running();
      await cli.write("flowctl.yaml", broken);
      const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined));
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(/warning: the pipeline file has mistakes \(flowctl\.yaml:\d+:\d+: .+\).*demo/);
      expect(stderr).toContain("`flowctl validate");
      if (args[0] === "down") expect(keysOf(cli)).toEqual([]);
    }
  });

  it("is told all mistakes and how a pipeline is named, when none is recorded", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": BAD_SCHEMA });
    const { code, stderr } = await cli.run("down", "-v", "--timeout", "3");
    expect(code).toBe(3);
    expect(stderr).toContain("Did you mean `uses`?");
    expect(stderr).toContain("`flowctl down -p NAME -v --timeout 3`");
    const json = await cli.run("down", "--json");
    expect(JSON.parse(json.stderr)).toMatchObject({
      error: { code: "cli/invalid-pipeline", fix: expect.stringContaining("`flowctl down -p NAME --json`") },
    });
  });

  it.each([
    [
      "another file of the folder says another name",
      { "other.yaml": BAD_SCHEMA.replace("demo", "other") },
      "other.yaml",
    ],
    ["another file says none", { "other.yaml": BAD_SCHEMA.replace("name: demo", "") }, "other.yaml"],
    ["a file is not there", {}, "typo.yaml"],
  ])("changes nothing that was not meant: %s", async (_, files, file) => {
    await using cli = await running();
    for (const [name, text] of Object.entries(files)) await cli.write(name, text);
    const before = keysOf(cli);
    const { code, stderr } = await cli.run("down", "-f", file);
    expect(code, stderr).toBe(3);
    expect(stderr).toContain("`flowctl down -p ");
    expect(keysOf(cli)).toEqual(before);
  });

  it("does not take one of several for the one that is meant where the file does not say", async () => {
    await using cli = await running();
    await cli.run("up", "-d", "-p", "second");
    await cli.write("flowctl.yaml", BAD_SCHEMA.replace("demo", `"\${NAME}"`));
    const { code, stderr } = await cli.run("down");
    expect(code).toBe(3);
    expect(stderr).toContain("`flowctl down -p demo` or `flowctl down -p second`");
    expect(keysOf(cli)).not.toEqual([]);
  });

  it("belongs to its own folder: what runs elsewhere is not taken", async () => {
    await using cli = await running();
    await cli.write("b/flowctl.yaml", BAD_SCHEMA);
    cli.cwd = join(cli.folder, "b");
    const { code } = await cli.run("down");
    expect(code).toBe(3);
    expect(keysOf(cli)).not.toEqual([]);
  });

  it("still needs the file where more than the name is needed", async () => {
    await using cli = await running();
    await cli.write("flowctl.yaml", BAD_SCHEMA);
    const { code, stderr } = await cli.run("dead-letters", "replay", "--all");
    expect(code).toBe(3);
    expect(stderr).not.toContain("warning");
  });
});

describe("a pipeline whose file has another name by now", () => {
  it.each([["down", "-v"], ["stop"], ["status"], ["restart"]])(
    "is named by %s, with the command to type, and stays as it is",
    async (...args) => {
      await using cli = await running();
      await cli.write("flowctl.yaml", FILE.replace("demo", "renamed"));
      const before = keysOf(cli);
      const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined));
      expect(code).toBe(5);
      expect(stderr).toContain(
        'Nothing of the pipeline "renamed" exists, but this folder has demo, under another name',
      );
      const rest = args.slice(1).map((arg) => ` ${arg}`);
      expect(stderr).toContain(`\`flowctl ${args[0]} -p demo${rest.join("")}\``);
      expect(keysOf(cli)).toEqual(before);
    },
  );
});
