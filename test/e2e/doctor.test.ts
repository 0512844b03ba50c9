import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const pipeline = `
sources: { numbers: { uses: generator, with: { rate: 50 } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } } }
`;

interface Finding {
  readonly level: string;
  readonly subject: string;
  readonly detail: string;
  readonly fix?: string;
}

/** What doctor finds of the scenario's own pipeline. */
async function found(scenario: Scenario): Promise<readonly Finding[]> {
  const findings = JSON.parse((await scenario.flowctl("doctor", "--json")).stdout) as readonly Finding[];
  const own = [`pipeline ${scenario.name}`, "archive-1", "numbers-1", "archive"];
  return findings.filter(({ level, subject }) => level !== "ok" && own.includes(subject));
}

/** Types the first command of a fix. */
async function typed(scenario: Scenario, fix = ""): Promise<void> {
  const [, command = ""] = /`flowctl ([^`]+)`/.exec(fix) ?? [];
  await scenario.succeed(...command.split(" "));
}

/** Removes the sink's container behind flowctl's back, and that of the control plane where it is to be lost as well. */
async function loseSink(scenario: Scenario, alsoControlPlane: boolean): Promise<void> {
  const refs = await scenario.refs();
  const gone = [...(alsoControlPlane ? ["control-plane"] : []), "archive-1"].map((id) => refs[id]!);
  execFileSync("docker", ["rm", "-f", "-v", ...gone]);
}

beforeAll(buildProgram);

describe.each(driversUnderTest().filter((driver) => driver === "docker"))("doctor on %s", (driver) => {
  it.each([
    ["an instance whose container was removed", false, /^should run, but does not exist on docker/],
    ["that, while no control plane runs", true, /^it is in the pipeline file, but does not exist on docker/],
  ])("names %s, and its fix works", async (_, alsoControlPlane, detail) => {
    await using scenario = await Scenario.on(driver, pipeline);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    expect(await found(scenario)).toEqual([]);
    await loseSink(scenario, alsoControlPlane);
    const missing = (await found(scenario)).find(({ subject }) => subject === "archive-1");
    expect(missing).toMatchObject({ level: "problem", detail: expect.stringMatching(detail) });
    await typed(scenario, missing?.fix);
    await eventually("nothing is wrong any more", async () => (await found(scenario)).length === 0);
    await scenario.succeed("down", "-v");
    scenario.passed();
  });
});
