import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";

describe("a wrong command", () => {
  it("is answered with a suggestion and exit code 2", async () => {
    await using cli = await CliHarness.create({});
    const typo = await cli.run("vaildate");
    expect(typo).toMatchObject({ code: 2, stdout: "" });
    expect(typo.stderr).toContain("Did you mean validate?");
    const option = await cli.run("up", "--detatch");
    expect(option.code).toBe(2);
    expect(option.stderr).toContain("--detach");
    expect((await cli.run("wait", "--timeout", "soon")).code).toBe(2);
    expect((await cli.run("up", "--scale", "enrich")).code).toBe(2);
    expect((await cli.run("scale")).code).toBe(2);
  });

  it.each([
    [["bogus-command"], "unknown command 'bogus-command'", "`flowctl --help` shows what there is", "unknown-command"],
    [["help", "bogus"], "unknown command 'bogus'", "`flowctl --help` shows what there is", "unknown-command"],
    [["ps", "--bogus"], "unknown option '--bogus'", "`flowctl ps --help` shows what there is", "unknown-option"],
    [["ps", "--filter", "a"], "unknown option '--filter'", "`flowctl ps --json` is easily filtered", "unknown-option"],
    [["vaildate"], "unknown command 'vaildate'", "Did you mean validate?", "unknown-command"],
    [
      ["dead-letters"],
      "`flowctl dead-letters` alone does nothing",
      "Name one of list, show, replay",
      "missing-command",
    ],
    [["scale", "m=2", "m=3"], "argument 'm=3' is invalid", "Give each component once", "invalid-argument"],
    [["scale", "m"], "argument 'm' is invalid", "Give a component and a number, such as enrich=3.", "invalid-argument"],
    [["scale", "--json"], "missing required argument 'id=n'", "`flowctl scale --help` shows", "missing-argument"],
    [
      ["logs", "--tail", "x"],
      "option '-n, --tail <lines>' argument 'x' is invalid",
      "Give a number of lines, or all.",
      "invalid-argument",
    ],
  ])("is an error as every other: %j", async (args, message, fix, code) => {
    await using cli = await CliHarness.create({});
    const { code: exitCode, stderr } = await cli.run(...args);
    expect(exitCode).toBe(2);
    if (args.includes("--json")) {
      expect(JSON.parse(stderr)).toMatchObject({
        error: { message, fix: expect.stringContaining(fix), code: `cli/${code}` },
      });
    } else
      expect(stderr).toMatch(
        new RegExp(`^error: ${escaped(message)}\n  fix  ${escaped(fix)}.*\n  code cli/${code}\n`, "m"),
      );
  });

  it("that names a file of sample events which is not there is told so", async () => {
    await using cli = await CliHarness.create({});
    const { code, stderr } = await cli.run("component", "test", "--events", "nofile.jsonl", "--", "true");
    expect([code, stderr]).toEqual([3, expect.stringContaining("code cli/no-events")]);
  });

  it("is one JSON object on standard error where JSON is asked for", async () => {
    await using cli = await CliHarness.create({});
    const { code, stdout, stderr } = await cli.run("ps", "--json", "--nonsense");
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "cli/unknown-option", kind: "usage", exitCode: 2 } });
  });
});

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
