import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { buildProgram } from "./program.ts";

const WIDTH = 80;

function everyCommand(command: Command, name: string): readonly (readonly [string, Command])[] {
  return [[name, command], ...command.commands.flatMap((child) => everyCommand(child, `${name} ${child.name()}`))];
}

/** What `--help` of a command prints on a terminal of 80 columns. */
function helpOf(command: Command): string {
  const printed: string[] = [];
  command.configureOutput({ getOutHelpWidth: () => WIDTH, writeOut: (text) => void printed.push(text) });
  command.outputHelp();
  return printed.join("");
}

describe("the help of a command", () => {
  const stream = { write: () => true, isTTY: true, columns: WIDTH };
  const deps = { stdout: stream, stderr: stream };
  const program = buildProgram({ deps: deps as never, finish: () => undefined });

  it.each(everyCommand(program, "flowctl"))("of %s fits a terminal of 80 columns", (_, command) => {
    expect(
      helpOf(command)
        .split("\n")
        .filter((line) => line.length > WIDTH),
    ).toEqual([]);
  });
});
