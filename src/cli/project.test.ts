import { mkdir, realpath, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import type { DriverName } from "../pipeline/pipeline.ts";
import { CliHarness } from "./cli-harness.fake.ts";

function file(name: string, sink = "out"): string {
  return `
name: ${name}
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  ${sink}: { uses: stdout, inputs: [numbers] }
`;
}

/** Two folders, `a` and `b`, each with a pipeline of the same name and another sink; that of `a` runs. */
async function twoFolders(...names: DriverName[]): Promise<CliHarness> {
  const drivers = (names.length === 0 ? ["process" as const] : names).map((name) => new MemoryDriver({ name }));
  const cli = await CliHarness.create(
    { "a/flowctl.yaml": file("demo"), "b/flowctl.yaml": file("demo", "other") },
    drivers,
  );
  cli.cwd = join(cli.folder, "a");
  expect(await cli.run("up", "-d", "--driver", drivers[0]?.name ?? "")).toMatchObject({ code: 0 });
  return cli;
}

const keysOf = (driver: MemoryDriver | undefined, name = "demo") => [...(driver?.state.get(name)?.keys() ?? [])].sort();

describe("a pipeline of the same name in another folder", () => {
  it.each([
    ["up", "-d"],
    ["up", "--dry-run"],
    ["run"],
    ["scale", "numbers=2"],
    ["down"],
    ["down", "-v"],
    ["stop"],
    ["start"],
    ["restart"],
    ["logs"],
    ["dead-letters", "replay", "--all"],
  ])("is refused by %s %s, with both folders and the way out, and nothing changes", async (...args) => {
    await using cli = await twoFolders();
    const [driver] = cli.drivers;
    const before = [...(driver?.applied ?? [])];
    cli.cwd = join(cli.folder, "b");
    const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined));
    expect(code, stderr).toBe(6);
    expect(stderr).toContain("code cli/other-folder");
    for (const folder of ["a", "b"]) expect(stderr).toContain(await realpath(join(cli.folder, folder)));
    expect(stderr).toContain("-p");
    expect(stderr).toContain("error: Pipeline demo belongs to ");
    expect(stderr).toContain("remove the other pipeline and what it has stored with `flowctl down -v -p demo`");
    expect(driver?.applied).toEqual(before);
  });

  it("can be named: by another name here, or to be taken down", async () => {
    await using cli = await twoFolders();
    cli.cwd = join(cli.folder, "b");
    expect(await cli.run("up", "-d", "-p", "mine")).toMatchObject({ code: 0 });
    expect(keysOf(cli.drivers[0])).toContain("component/out-1");
    expect(await cli.run("logs", "-p", "demo")).toMatchObject({ code: 0 });
    expect(await cli.run("down", "-v", "-p", "demo")).toMatchObject({ code: 0 });
    expect(keysOf(cli.drivers[0])).toEqual([]);
    expect(await cli.run("up", "-d")).toMatchObject({ code: 0 });
  });

  it("is the same one when it is reached by its own folder, or one below, or without its file", async () => {
    await using cli = await twoFolders();
    await mkdir(join(cli.folder, "a", "deep"));
    cli.cwd = join(cli.folder, "a", "deep");
    expect(await cli.run("stop")).toMatchObject({ code: 0 });
    cli.cwd = cli.folder;
    expect(await cli.run("up", "-d", "a/flowctl.yaml")).toMatchObject({ code: 0 });
    await rm(join(cli.folder, "a", "flowctl.yaml"));
    cli.cwd = join(cli.folder, "a");
    expect(await cli.run("down", "-v")).toMatchObject({ code: 0 });
    expect(keysOf(cli.drivers[0])).toEqual([]);
  });

  it("does not take over stored positions, unless their folder is gone", async () => {
    await using cli = await twoFolders();
    keep(cli);
    cli.cwd = join(cli.folder, "b");
    const refused = await cli.run("up", "-d");
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain("error: Pipeline demo is not running, but its stored state belongs to ");
    expect(refused.stderr).toContain("remove the stored state with `flowctl down -v -p demo`");
    await rename(join(cli.folder, "a"), join(cli.folder, "moved"));
    cli.cwd = join(cli.folder, "moved");
    const taken = await cli.run("up", "-d");
    expect(taken.code, taken.stderr).toBe(0);
    expect(taken.stderr).toContain(join(cli.folder, "a"));
  });
});

describe("a folder without a pipeline", () => {
  it.each([["down"], ["down", "-v"], ["stop"], ["start"], ["restart"]])(
    "gives %s nothing to work on, whatever there is elsewhere",
    async (...args) => {
      await using cli = await twoFolders();
      const before = keysOf(cli.drivers[0]);
      await mkdir(join(cli.folder, "empty"));
      cli.cwd = join(cli.folder, "empty");
      const { code, stderr } = await cli.run(...args.filter((arg) => arg !== undefined));
      expect(code).toBe(2);
      expect(stderr).toContain("code cli/which-pipeline");
      expect(stderr).toContain("demo");
      expect(stderr).toContain(`flowctl ${args[0]} -p NAME`);
      expect(keysOf(cli.drivers[0])).toEqual(before);
    },
  );
});

describe("after a down that kept the stored positions", () => {
  it("the next up says that it goes on where that state is, and not that it runs there", async () => {
    await using cli = await twoFolders();
    expect((await cli.run("up", "-d")).stderr).toContain("demo on process (already running there)");
    keep(cli);
    expect((await cli.run("up", "-d")).stderr).toContain("demo on process (its stored state is there)");
  });

  it("another driver can be used, which is told", async () => {
    await using cli = await twoFolders("process", "docker");
    keep(cli);
    const { code, stderr } = await cli.run("up", "-d", "--driver", "docker");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("flowctl down -v -p demo --driver process");
    expect(await cli.run("stop")).toMatchObject({ code: 0 });
    expect(cli.drivers[1]?.applied).toContain("stop component/out-1");
  });

  it("while it runs, another driver is refused, and what the fix says helps", async () => {
    await using cli = await twoFolders("process", "docker");
    const { code, stderr } = await cli.run("up", "-d", "--driver", "docker");
    expect(code).toBe(6);
    expect(stderr).toContain("flowctl down -p demo --driver process");
    expect(await cli.run("down", "-p", "demo", "--driver", "process")).toMatchObject({ code: 0 });
    expect(await cli.run("up", "-d", "--driver", "docker")).toMatchObject({ code: 0 });
  });
});

/** What a `down` without -v leaves: a volume with state. */
function keep(cli: CliHarness): void {
  const world = cli.drivers[0]?.state.get("demo");
  const some = world?.get("control-plane/1");
  if (world === undefined || some === undefined) throw new Error("nothing runs");
  world.clear();
  world.set("volume/state", { ...some, key: "volume/state", kind: "volume", owner: "state", index: 0 });
}
