import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";
import { aboutTheSame, type Invocation, invocationOf, sameFor } from "./invocation.ts";
import { buildProgram } from "./program.ts";

async function typed(...args: string[]): Promise<Invocation> {
  await using cli = await CliHarness.create({ here: "" });
  const output = { isTTY: false, columns: 80, write: () => true } as never;
  const program = buildProgram({ deps: cli.dependencies(output, output), finish: () => undefined });
  const names = args.filter((arg) => !arg.startsWith("-"));
  let command = program;
  for (const name of names) command = command.commands.find((child) => child.name() === name) ?? command;
  return invocationOf(command, args, cli.folder);
}

describe("a command in a text", () => {
  it.each([
    [["up", "other.yaml"], "Run `flowctl up` again", "Run `flowctl up -f other.yaml` again"],
    [["up", "a.yaml", "b.yaml", "-d"], "`flowctl up --discard`", "`flowctl up -f a.yaml -f b.yaml --discard`"],
    [["down", "-f", "my own.yaml", "-v"], "`flowctl ps`", "`flowctl ps -f 'my own.yaml'`"],
    [["stop", "--file=o.yaml", "x"], "`flowctl logs x`", "`flowctl logs --file o.yaml x`"],
    [["stop", "-pmine", "x"], "`flowctl start x`", "`flowctl start -p mine x`"],
    [["down", "mine"], "`flowctl up`", "`flowctl up -p mine`"],
    [["up", "-f", "o.yaml"], "`flowctl dead-letters list`", "`flowctl dead-letters list -f o.yaml`"],
    [["up", "o.yaml"], "`flowctl scale -p x a=2`", "`flowctl scale -f o.yaml -p x a=2`"],
    [["up", "o.yaml", "--profile", "a"], "`flowctl up`", "`flowctl up -f o.yaml --profile a`"],
  ])("of %j: %s is %s", async (args, text, expected) => {
    expect(aboutTheSame(text, await typed(...args))).toBe(expected);
  });

  it.each([
    [["up", "o.yaml"], "`flowctl down -v -p demo --driver docker`"],
    [["up", "o.yaml"], "`flowctl down demo`"],
    [["up", "o.yaml"], "`flowctl up FILE`"],
    [["up", "o.yaml"], "`flowctl ps -a`"],
    [["up", "o.yaml"], "`flowctl init`"],
    [["up", "o.yaml"], "`flowctl up` (process 7 on host) has been changing this pipeline"],
    [["up", "-d"], "`flowctl up`"],
  ])("of %j is left alone in: %s", async (args, text) => {
    expect(aboutTheSame(text, await typed(...args))).toBe(text);
  });
});

describe("the same command for another pipeline", () => {
  it.each([
    [["down", "-v"], "flowctl down -p old -v"],
    [["down", "o.yaml", "--timeout", "30"], "flowctl down -p old --timeout 30"],
    [["logs", "--file", "o.yaml", "-f", "a-1", "--tail=3"], "flowctl logs -p old -f --tail=3 a-1"],
    [["stop", "-p", "x", "a", "--driver", "process"], "flowctl stop -p old --driver process a"],
  ])("%j is: %s", async (args, expected) => {
    expect(sameFor("old", await typed(...args))).toBe(expected);
  });
});
