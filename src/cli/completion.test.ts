import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { CliHarness } from "./cli-harness.fake.ts";
import { cliReference } from "./reference.ts";

const run = promisify(execFile);

async function script(shell: string): Promise<string> {
  await using cli = await CliHarness.create({});
  const { code, stdout } = await cli.run("completion", shell);
  expect(code).toBe(0);
  return stdout;
}

/** What bash offers when Tab is pressed after these words. */
async function complete(...words: string[]): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-completion-"));
  try {
    await writeFile(join(folder, "completion.bash"), await script("bash"));
    const quoted = ["flowctl", ...words].map((word) => `'${word}'`).join(" ");
    const asked = `flowctl() { printf '%s\\n' enrich enrich-1 enrich-2 out; }`;
    const program = `source completion.bash; ${asked}; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _flowctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run("bash", ["-c", program], { cwd: folder });
    return stdout.split("\n").filter((line) => line !== "");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("bash completion", () => {
  it("offers commands, their options, and the values of options", async () => {
    expect(await complete("va")).toEqual(["validate"]);
    expect(await complete("up", "--de")).toEqual(["--detach"]);
    expect(await complete("up", "--driver", "p")).toEqual(["process"]);
    expect(await complete("component", "te")).toEqual(["test"]);
    expect(await complete("component", "test", "--im")).toEqual(["--image"]);
  });

  it("offers the ids that flowctl says, where a command takes them and no value is due", async () => {
    expect(await complete("logs", "")).toEqual(["enrich", "enrich-1", "enrich-2", "out"]);
    expect(await complete("logs", "-f", "o")).toEqual(["out"]);
    expect(await complete("restart", "enrich", "enrich-2")).toEqual(["enrich-2"]);
    expect(await complete("stop", "--time")).toEqual(["--timeout"]);
    expect(await complete("stop", "-f", "comp")).toEqual(["completion.bash"]);
    expect(await complete("down", "o")).toEqual([]);
  });

  it("takes a word for one that bash took apart at `=`", async () => {
    expect(await complete("up", "--driver", "=", "p")).toEqual(["process"]);
    expect(await complete("up", "--driver", "=")).toEqual(["docker", "process", "kubernetes"]);
    expect(await complete("logs", "--project-name", "=", "o")).toEqual(["out"]);
    expect(await complete("logs", "--project-name", "=", "x", "en")).toEqual(["enrich", "enrich-1", "enrich-2"]);
    expect(await complete("scale", "enrich", "=")).toEqual([]);
    expect(await complete("scale", "enrich", "=", "3")).toEqual([]);
    expect(await complete("scale", "enrich", "=", "3", "o")).toEqual(["out"]);
  });

  it("offers files where nothing else fits", async () => {
    expect(await complete("validate", "comp")).toEqual(["completion.bash"]);
  });
});

describe("completion", () => {
  it("knows every command in zsh and fish, too", async () => {
    for (const shell of ["zsh", "fish"]) {
      const text = await script(shell);
      for (const name of ["up", "run", "down", "validate", "scale"]) expect(text, shell).toContain(name);
    }
  });

  it("refuses another shell with 2", async () => {
    await using cli = await CliHarness.create({});
    expect((await cli.run("completion", "tcsh")).code).toBe(2);
  });
});

describe("the ids that a script asks for", () => {
  const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers], deploy: { replicas: 2 } } }
`;

  it("are those of what exists, of instances where there are several, and the control plane where it can be named", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    expect((await cli.run("__ids", "--", "restart")).stdout.split("\n").sort()).toEqual([
      "",
      "numbers",
      "out",
      "out-1",
      "out-2",
    ]);
    expect((await cli.run("__ids", "--", "logs", "-f")).stdout).toContain("control-plane\n");
  });

  it("are of the pipeline that the typed options mean", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE, "other.yaml": FILE.replace("demo", "other") });
    await cli.run("up", "-d");
    await cli.run("up", "-d", "-f", "other.yaml");
    cli.drivers[0]?.state.get("other")?.delete("component/numbers-1");
    for (const typed of [
      ["-p", "other"],
      ["-f", "other.yaml"],
    ]) {
      const { code, stdout } = await cli.run("__ids", "--", "stop", ...typed, "out");
      expect(code).toBe(0);
      expect(stdout.split("\n").sort()).toEqual(["", "out", "out-1", "out-2"]);
    }
  });

  it("are no names that nobody could have given to a pipeline of ours", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const state = cli.drivers[0]?.state;
    for (const name of ["$(touch x)", "a b", "`x`", "\u001b[31m", "-v"]) state?.set(name, new Map(state.get("demo")));
    expect((await cli.run("__ids", "--", "logs", "-p")).stdout).toBe("demo\n");
  });

  it("are components with `=`, without instances, services and the control plane, where a number has to follow", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    await cli.run("up", "-d");
    const { stdout } = await cli.run("__ids", "--", "scale", "out=2");
    expect(stdout.split("\n").sort()).toEqual(["", "numbers=", "out="]);
  });

  it("are names of pipelines after the option that takes one, on the driver that another one names", async () => {
    const drivers = [new MemoryDriver({ name: "process" }), new MemoryDriver({ name: "docker" })];
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE }, drivers);
    await cli.run("up", "-d");
    await cli.run("up", "-d", "-p", "other", "--driver", "docker");
    for (const typed of [
      ["logs", "-f", "-p"],
      ["up", "--project-name"],
      ["dead-letters", "list", "-p"],
    ]) {
      expect(await cli.run("__ids", "--", ...typed)).toMatchObject({ code: 0, stdout: "demo\nother\n" });
    }
    expect((await cli.run("__ids", "--", "logs", "--driver", "docker", "-p")).stdout).toBe("other\n");
  });

  it("are none where nothing runs, the file is wrong, or the command takes none", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    expect(await cli.run("__ids", "--", "logs")).toMatchObject({ code: 5, stdout: "" });
    expect(await cli.run("__ids", "--", "logs", "-p")).toMatchObject({ code: 0, stdout: "" });
    expect(await cli.run("__ids", "--", "logs", "--tail")).toMatchObject({ code: 2, stdout: "" });
    expect(await cli.run("__ids", "--", "down")).toMatchObject({ code: 2, stdout: "" });
    expect(await cli.run("__ids")).toMatchObject({ code: 2, stdout: "" });
    await cli.write("flowctl.yaml", "name: [");
    expect(await cli.run("__ids", "--", "logs")).toMatchObject({ code: 3, stdout: "" });
  });

  it("are asked for by a command that help, completion and the reference leave out", async () => {
    await using cli = await CliHarness.create({});
    expect((await cli.run("--help")).stdout).not.toContain("__ids");
    expect(cliReference()).not.toContain("__ids");
    expect(await complete("__")).toEqual([]);
  });
});
