import { describe, expect, it } from "vitest";
import { CliHarness } from "../cli-harness.fake.ts";
import { chains } from "./banner.ts";

const pipeline = (inputs: Readonly<Record<string, readonly string[]>>) => ({
  components: Object.entries(inputs).map(([id, from]) => ({ id, inputs: from.map((one) => ({ from: one })) })),
});

/** Every edge that a line shows. */
const edgesOf = (lines: readonly string[]): readonly string[] =>
  lines.flatMap((line) => {
    const steps = line.split(" → ").map((step) => step.split(", "));
    return steps.slice(1).flatMap((step, i) => step.map((to) => `${steps[i]?.[0]}>${to}`));
  });

describe("the topology in lines", () => {
  it.each([
    [{ feed: [], out: ["feed"] }, ["feed → out"]],
    [{ feed: [], hot: ["feed"], screen: ["hot"], archive: ["hot"] }, ["feed → hot → screen, archive"]],
    [{ a: [], b: [], m: ["a", "b"], out: ["m"] }, ["a → m → out", "b → m"]],
    [
      { a: [], l: ["a"], r: ["a"], join: ["l", "r"], all: ["join", "a"] },
      ["a → l → join → all", "a → r → join", "a → all"],
    ],
  ])("has every edge in exactly one: %j", (inputs, expected) => {
    const lines = chains(pipeline(inputs) as unknown as Parameters<typeof chains>[0]);
    expect(lines).toEqual(expected);
    const edges = Object.entries(inputs).flatMap(([to, from]) => from.map((one) => `${one}>${to}`));
    expect([...edgesOf(lines)].sort()).toEqual(edges.sort());
  });
});

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors: { even: { uses: filter, inputs: [numbers], with: { where: "true" } } }
sinks: { out: { uses: discard, inputs: [even] } }
`;

describe("up", () => {
  it("ends a first start with the topology, where to look and how to end it, and no list of what is new", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    const first = await cli.run("up", "-d");
    const [, banner = ""] = first.stderr.split("\n\n  demo started\n\n");
    expect(banner.split("\n")).toEqual([
      "  numbers → even → out",
      "",
      "  Status  flowctl status --watch",
      "  Logs    flowctl logs -f",
      "  HTTP    http://127.0.0.1:8081  flowctl access url opens it in a browser; /metrics is open",
      "  Stop    flowctl stop  flowctl start resumes",
      "  Remove  flowctl down  -v: stored positions and volumes too",
      "",
      "",
    ]);
    expect(first.stderr).not.toMatch(/create|volume\//);
    await cli.write("flowctl.yaml", FILE.replace('where: "true"', 'where: "false"'));
    const second = await cli.run("up", "-d");
    expect(second.stderr).toContain("~ replace component/even-1");
    expect(second.stderr).not.toContain("HTTP");
    expect((await cli.run("up", "-d", "--dry-run", "-p", "other")).stdout).toContain("+ create  component/even-1");
  });

  it("ends an attached first start with how Ctrl-C stops it", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    cli.controlPlane.state = "completed";
    const { stderr } = await cli.run("up");
    expect(stderr).toContain("  Stop    Ctrl-C  drains first; press it again to stop now\n");
    expect(stderr).not.toContain("flowctl start resumes");
  });

  it("says nothing of it with --quiet", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
    expect((await cli.run("up", "-d", "--quiet")).stderr).toBe("");
  });
});
