import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
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
    const looks = !["restart", "start", "stop", "down"].includes(args[0] ?? "");
    for (const broken of [BAD_SCHEMA, BAD_YAML, ...(looks ? ["this is no pipeline", ""] : [])]) {
      await using cli = await running();
      await cli.write("flowctl.yaml", broken);
      const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined));
      expect(code, stderr).toBe(0);
      expect(stderr).toMatch(/warning: the pipeline file is invalid \(flowctl\.yaml:\d+:\d+: .+\).*demo/);
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

  const mistake = BAD_SCHEMA.replace("name: demo\n", "");
  const indented = (text: string) => text.replaceAll(/^(?=.)/gm, "  ");
  it.each([
    ["a name that is not valid", FILE.replace("demo", "Staging")],
    ["a name that is not valid and begins so", FILE.replace("demo", "demo.v2")],
    ["a variable that is set", BAD_SCHEMA.replace("demo", `"\${NAME}"`)],
    ["a variable with a default", BAD_SCHEMA.replace("demo", `\${OTHER:-test}`)],
    ["a variable that is not set", BAD_SCHEMA.replace("demo", `\${OTHER}`)],
    ["two names", `${FILE}name: other\n`],
    ["two names, of which one is in a broken place", `name: demo\nsources: { a: {\nname: other\n`],
    ["an indented document of another name", indented(BAD_SCHEMA.replace("demo", "other"))],
    ["a document in flow style of another name", "{ name: other, sources: { a: { usse: generator } } }"],
    ["a broken document in flow style", "{ name: demo, sources: { a: { uses: generator }, name: other }"],
    ["a name behind an alias", `x-name: &n demo\nname: *n\n${mistake}`],
    ["a name that a mapping brings along", `x-base: &b { name: other }\n<<: *b\n${mistake}`],
    ["no name, in another folder than its own", mistake],
    ["no name, and no YAML", `${mistake}  sinks: {{{\n`],
    ["a name that is reset", BAD_SCHEMA.replace("demo", "!reset demo")],
    ["no mapping", "this is no pipeline"],
    ["nothing", ""],
  ])("is not let change anything by a file that does not say that name: %s", async (_, text) => {
    await using cli = await running();
    await cli.write("flowctl.yaml", text);
    cli.env = { ...cli.env, NAME: "test" };
    const before = keysOf(cli);
    for (const command of ["down -v", "stop", "restart", "scale numbers=2"]) {
      const { code, stderr } = await cli.run(...command.split(" "));
      expect(code, stderr).toBe(3);
      const [verb, ...rest] = command.split(" ");
      expect(stderr).toContain(`\`flowctl ${verb} -p demo ${rest.join(" ")}`.trim());
    }
    expect(keysOf(cli)).toEqual(before);
    // Whoever only looks loses nothing by it.
    const { code, stderr } = await cli.run("status");
    expect([0, 3], stderr).toContain(code);
  });

  it.each([
    ["indented", indented(BAD_SCHEMA)],
    ["in flow style", "{ name: demo, sources: { a: { usse: generator } } }"],
    ["with a variable", BAD_SCHEMA.replace("demo", `\${NAME}`)],
    ["with a variable of the .env file", BAD_SCHEMA.replace("demo", `\${FROM_FILE}`)],
    ["named after what YAML could not read", BAD_YAML],
    ["with a name of something else, too", BAD_SCHEMA.replace("discard,", "discard, with: { name: other },")],
  ])("is let change the one that the file names: %s", async (_, text) => {
    await using cli = await running();
    await cli.write("flowctl.yaml", text);
    await cli.write(".env", "FROM_FILE=demo\n");
    cli.env = { ...cli.env, NAME: "demo" };
    const { code, stderr } = await cli.run("down", "-v");
    expect(code, stderr).toBe(0);
    expect(keysOf(cli)).toEqual([]);
  });

  it("is let change the one that has the name of the folder, where the file says none", async () => {
    await using cli = await CliHarness.create({ "shop/flowctl.yaml": FILE.replace("name: demo", "") });
    cli.cwd = join(cli.folder, "shop");
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
    await cli.write("shop/flowctl.yaml", mistake);
    expect(await cli.run("down", "-v")).toMatchObject({ code: 0 });
    expect(keysOf(cli, "shop")).toEqual([]);
  });

  it.each([["a file with mistakes"], ["no file"]])(
    "does not take what another folder runs under that name, with %s",
    async (how) => {
      const drivers = ["docker", "process"].map((name) => new MemoryDriver({ name: name as "docker" }));
      await using cli = await CliHarness.create({ "a/flowctl.yaml": FILE, "b/flowctl.yaml": FILE }, drivers);
      const within = (folder: string): void => {
        cli.cwd = join(cli.folder, folder);
      };
      within("a");
      expect(await cli.run("up", "-d", "--driver", "docker")).toMatchObject({ code: 0 });
      const [docker, process] = drivers;
      // As `down` leaves it: only state.
      const left = docker?.state.get("demo");
      for (const key of [...(left?.keys() ?? [])]) if (!key.startsWith("volume")) left?.delete(key);
      expect(left?.size).toBeGreaterThan(0);
      within("b");
      expect(await cli.run("up", "-d", "--driver", "process")).toMatchObject({ code: 0 });
      const before = [...(process?.state.get("demo")?.keys() ?? [])];
      within("a");
      if (how === "no file") await rm(join(cli.folder, "a/flowctl.yaml"));
      else await cli.write("a/flowctl.yaml", BAD_SCHEMA);
      const { code, stderr } = await cli.run("down", "-v");
      expect(code, stderr).toBe(6);
      expect(stderr).toContain("cli/other-folder");
      expect([...(process?.state.get("demo")?.keys() ?? [])]).toEqual(before);
    },
  );

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
      expect(stderr).toContain("Pipeline renamed does not exist, but this folder has demo, under another name");
      const rest = args.slice(1).map((arg) => ` ${arg}`);
      expect(stderr).toContain(`\`flowctl ${args[0]} -p demo${rest.join("")}\``);
      expect(keysOf(cli)).toEqual(before);
    },
  );
});
