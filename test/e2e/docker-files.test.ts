import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const run = promisify(execFile);

async function docker(...args: string[]): Promise<string> {
  return (await run("docker", args)).stdout.trim();
}

const pipeline = `
sources:
  numbers: { uses: generator, with: { rate: 20 } }
  records: { uses: file, with: { path: ./in.jsonl } }
sinks:
  archive: { uses: file, inputs: [numbers], with: { path: ./out.jsonl } }
  parts:
    uses: file
    inputs: [numbers]
    with: { path: "./part-{instance}.jsonl" }
    deploy: { replicas: 2 }
  copies: { uses: file, inputs: [records], with: { path: ./copies/all.jsonl } }
`;

/** What there is in the project folder, as the program of a container sees it. */
async function seenBy(scenario: Scenario, instance: string): Promise<unknown> {
  const list = `JSON.stringify(require("node:fs").readdirSync(${JSON.stringify(scenario.folder)}))`;
  return JSON.parse(await docker("exec", `${scenario.name}-${instance}`, "node", "-p", list)) as unknown;
}

async function sequences(scenario: Scenario, file: string): Promise<readonly number[]> {
  return (await scenario.lines(file)).map((line) => (JSON.parse(line) as { sequence: number }).sequence);
}

beforeAll(buildProgram);

describe.skipIf(!driversUnderTest().includes("docker"))("a built-in on Docker with files in the project folder", () => {
  it("sees them and nothing else there, and goes on with them over restarts", async () => {
    await using scenario = await Scenario.on("docker", pipeline);
    await scenario.write(".env", "DB_PASSWORD=hush\n");
    await scenario.write("in.jsonl", '{"n":1}\n{"n":2}\n');
    await scenario.succeed("up", "-d", "--wait");
    expect(await seenBy(scenario, "archive-1")).toEqual(["out.jsonl"]);
    expect(await seenBy(scenario, "parts-1")).toEqual(["part-1.jsonl"]);
    expect(await seenBy(scenario, "parts-2")).toEqual(["part-2.jsonl"]);
    const mounts = await docker("inspect", "-f", "{{json .HostConfig.Mounts}}", `${scenario.name}-records-1`);
    const own = (JSON.parse(mounts) as { Type: string; Source: string; ReadOnly: boolean }[]).filter(
      ({ Type }) => Type === "bind",
    );
    expect(own).toEqual([expect.objectContaining({ Source: join(scenario.folder, "in.jsonl"), ReadOnly: true })]);
    await eventually("the file was read", async () => (await scenario.lines("copies/all.jsonl")).length === 2);

    const before = (await sequences(scenario, "out.jsonl")).length;
    process.kill(Number(await docker("inspect", "-f", "{{.State.Pid}}", `${scenario.name}-archive-1`)), "SIGKILL");
    await eventually("it goes on", async () => (await sequences(scenario, "out.jsonl")).length > before + 20);
    const all = await sequences(scenario, "out.jsonl");
    expect(all).toEqual(all.map((_, index) => (all[0] ?? 0) + index));

    await scenario.succeed("stop", "archive");
    await rm(join(scenario.folder, "out.jsonl"));
    await scenario.succeed("start", "archive");
    await eventually("the file is made anew", async () => (await scenario.lines("out.jsonl")).length > 0);
    await scenario.succeed("down", "-v");
    scenario.passed();
  });

  it("is refused before it starts where it would have to see more, with where to put the file", async () => {
    await using scenario = await Scenario.on(
      "docker",
      `
sources: { log: { uses: file, with: { path: ./app.log, follow: true } } }
sinks: { out: { uses: stdout, inputs: [log] } }
`,
    );
    await scenario.write("app.log", "");
    const { code, stderr } = await scenario.flowctl("up", "-d");
    expect(code).toBe(3);
    expect(stderr).toContain("flowctl.yaml:3:45");
    expect(stderr).toContain(join(scenario.folder, "logs/app.log"));
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
