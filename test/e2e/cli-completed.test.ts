import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const FINITE = `
sources: { numbers: { uses: generator, with: { count: 20, rate: 500 } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } } }
`;

beforeAll(buildProgram);

describe.each(driversUnderTest())("a pipeline that has completed, on %s", (driver) => {
  it("says when, and how to run it from the beginning, when it is started again", async () => {
    await using scenario = await Scenario.on(driver, FINITE);
    const before = `${scenario.name} completed .* ago`;
    const first = await scenario.flowctl("up");
    expect(first).toMatchObject({ code: 0, stderr: expect.not.stringMatching(before) });

    const again = await scenario.flowctl("up");
    expect(again).toMatchObject({ code: 0, stderr: expect.stringMatching(before) });
    expect(again.stderr).toContain(`flowctl down -v -p ${scenario.name}`);

    await scenario.succeed("down");
    const afterDown = await scenario.flowctl("up", "-d", "--wait");
    expect(afterDown).toMatchObject({ code: 0, stderr: expect.stringMatching(before) });
    expect(await scenario.lines("out/numbers.jsonl")).toHaveLength(20);

    await scenario.succeed("down", "-v");
    const anew = await scenario.flowctl("up", "-d", "--wait");
    expect(anew).toMatchObject({ code: 0, stderr: expect.not.stringMatching(before) });
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});

describe("run -q", () => {
  it("prints what components print and the summary, and nothing else", async () => {
    const text = FINITE.replace("sinks: {", "sinks: { screen: { uses: stdout, inputs: [numbers] },");
    await using scenario = await Scenario.on("process", text);
    const { code, stdout, stderr } = await scenario.flowctl("run", "-q", "--no-prefix");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.split("\n");
    const table = lines.findIndex((line) => line.startsWith("COMPONENT "));
    expect(lines.slice(0, table - 1)).toEqual(Array.from({ length: 20 }, (_, i) => `{"sequence":${i + 1}}`));
    expect(stdout).toContain(`${scenario.name} completed in `);
    expect(stdout).toContain("archive wrote out/numbers.jsonl");
    scenario.passed();
  });

  it("puts the errors of components on standard error", async () => {
    await using scenario = await Scenario.on(
      "process",
      `
sources: { numbers: { uses: generator, with: { count: 20 } } }
sinks:
  archive: { command: [sh, -c, "echo boom >&2; exit 3"], restart: "no", inputs: [numbers] }
`,
    );
    const { code, stdout, stderr } = await scenario.flowctl("run", "-q");
    expect(code).toBe(1);
    expect(stderr).toContain("boom");
    expect(stderr).toContain("cli/pipeline-failed");
    expect(stdout).not.toContain("boom");
    expect(stdout).toMatch(/^archive +sink +failed /m);
    scenario.passed();
  });
});
