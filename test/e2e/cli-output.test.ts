import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, Scenario } from "./checks.ts";
import { type Ended, type ProgramOptions, runProgram } from "./run-program.ts";

const program = join(resolve(import.meta.dirname, "../.."), "dist", "flowctl.js");

/** Runs a line of bash, in which `flowctl` is the program; its code is that of the first part that failed. */
function shell(line: string, { cwd, env = process.env }: ProgramOptions = {}): Promise<Ended> {
  const flowctl = `set -o pipefail; flowctl() { '${process.execPath}' '${program}' "$@"; }`;
  return runProgram("bash", ["-c", `${flowctl}; ${line}`], { ...(cwd === undefined ? {} : { cwd }), env });
}

const ENDLESS = `
sources: { numbers: { uses: generator, with: { rate: 50 } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: "./out/{instance}.jsonl" } } }
`;

beforeAll(buildProgram);

describe("output", () => {
  it("that cannot be written is a failure that is said, with what to do", async () => {
    const { code, stderr } = await shell("flowctl schema > /dev/full");
    expect(code).toBe(1);
    expect(stderr).toMatch(/Cannot write the output: ENOSPC.*\n {2}fix .*disk.*\n {2}code cli\/output-unwritable/);
  });

  it("that cannot be written is one JSON object on standard error where those are asked for", async () => {
    const { code, stderr } = await shell("flowctl version --json > /dev/full");
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "cli/output-unwritable", exitCode: 1 } });
  });

  it("that nobody reads any more is not", async () => {
    expect(await shell("flowctl schema | head -1")).toMatchObject({ code: 0 });
  });
});

describe("the command itself", () => {
  it("keeps what a file of variables says from Node.js", async () => {
    await using scenario = await Scenario.on("process", ENDLESS.replace("rate: 50", 'rate: "${RATE}"'));
    const { folder: cwd, env } = scenario;
    await writeFile(join(cwd, "prod.env"), "RATE=20\nNODE_OPTIONS=--no-such-option\n");
    const { code, stdout } = await runProgram(program, ["config", "--env-file", "prod.env"], { cwd, env });
    expect(code).toBe(0);
    expect(stdout).toContain("rate: 20");
    const missing = await runProgram(program, ["validate", "--env-file=missing.env"], { cwd, env });
    expect(missing.code).toBe(3);
    expect(missing.stderr).toContain("pipeline/file-missing");
    scenario.passed();
  });
});

describe("a command that changes what runs", () => {
  it.each([
    ["that nobody reads any more", "2>&1 | true", 0],
    ["that cannot be written", "> /dev/full 2>&1", 1],
  ])("is carried out to its end over output %s", async (_what, into, code) => {
    await using scenario = await Scenario.on("process", ENDLESS);
    const { folder: cwd, env } = scenario;
    const states = async () => (await scenario.instances()).map(({ instance, state }) => `${instance} ${state}`);
    expect(await shell(`flowctl up -d --wait ${into}`, { cwd, env })).toMatchObject({ code });
    expect(await states()).toEqual(["numbers-1 healthy", "archive-1 healthy", "control-plane healthy"]);
    expect(await shell(`flowctl scale archive=2 ${into}`, { cwd, env })).toMatchObject({ code });
    expect((await scenario.instances()).map(({ instance }) => instance)).toContain("archive-2");
    const before = await scenario.refs();
    expect(await shell(`flowctl restart archive ${into}`, { cwd, env })).toMatchObject({ code });
    const after = await scenario.refs();
    expect(after["archive-1"]).not.toBe(before["archive-1"]);
    expect(after["archive-2"]).not.toBe(before["archive-2"]);
    // What was ended by force did not exit with 0, and is not just stopped.
    expect(await shell(`flowctl stop ${into}`, { cwd, env })).toMatchObject({ code });
    expect(await states()).toEqual([
      "numbers-1 stopped",
      "archive-1 stopped",
      "archive-2 stopped",
      "control-plane healthy",
    ]);
    expect(await shell(`flowctl start ${into}`, { cwd, env })).toMatchObject({ code });
    expect((await states()).filter((state) => /stopped/.test(state))).toEqual([]);
    expect(await shell(`flowctl down -v ${into}`, { cwd, env })).toMatchObject({ code });
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
