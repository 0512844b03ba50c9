import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import { splitShellWords } from "../pipeline/values/shell-words.ts";
import { CliHarness } from "./cli-harness.fake.ts";
import { buildProgram } from "./program.ts";

/** One command line of ours that stands in a text of the sources. */
interface Printed {
  readonly where: string;
  readonly line: string;
}

const root = join(import.meta.dirname, "..");

function sources(): readonly { readonly path: string; readonly text: string }[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !/\.(?:test|fake)\.ts$/.test(path))
    .map((path) => ({ path: relative(root, join(root, path)), text: readFileSync(join(root, path), "utf8") }));
}

/** What stands in backticks, escaped or not, or makes up a whole string, such as an example of a help. */
function printedCommands(): readonly Printed[] {
  return sources().flatMap(({ path, text }) =>
    [...text.matchAll(/(?:\\?`|")(flowctl (?:\$\{[^{}]*\}|[^`"\\\n]|\\")*)(?:\\?`|")/g)].flatMap((match) => {
      const line = text.slice(0, match.index).split("\n").length;
      const command = (match[1] ?? "").replaceAll('\\"', '"');
      return command
        .split(/ (?:&&|\|) |,? then /)
        .filter(
          (part) =>
            part.startsWith("flowctl ") &&
            !isComment(text, match.index) &&
            !isCompletion(text, match.index) &&
            !isName(text, match.index),
        )
        .map((part) => ({ where: `src/${path}:${line}`, line: part.replace(/ >.*/, "").trim() }));
    }),
  );
}

/** What completion is asked for are beginnings of command lines. */
function isCompletion(text: string, at: number): boolean {
  return text.slice(text.lastIndexOf("\n", at) + 1, at).includes("IDS_COMMAND");
}

/** What a command calls itself when others have to wait for it. */
function isName(text: string, at: number): boolean {
  return /^\s*command: $/.test(text.slice(text.lastIndexOf("\n", at) + 1, at));
}

function isComment(text: string, at: number): boolean {
  return /^\s*(?:\*|\/[/*])/.test(text.slice(text.lastIndexOf("\n", at) + 1, at));
}

/** Words as they would be typed: a value for each placeholder. */
function wordsOf(line: string): readonly string[] {
  const filled = line
    .replaceAll(/--driver \$\{[^{}]*\}/g, "--driver docker")
    .replaceAll(/\$\{[^{}]* \? "" : [^{}]*\}/g, "")
    .replaceAll(/=\$\{[^{}]*instances\}/g, "=2")
    .replaceAll(/\$\{[^{}]*\}/g, "x")
    .replaceAll(/<[\w-]+>|…/g, "x");
  return (splitShellWords(filled) ?? []).slice(1);
}

/** The real program, of which no command does anything. */
async function idleProgram(): Promise<Command> {
  await using cli = await CliHarness.create({});
  const output = { isTTY: false, columns: 80, write: () => true } as never;
  const program = buildProgram({ deps: cli.dependencies(output, output), finish: () => undefined });
  const idle = (command: Command): void => {
    if (command.commands.length === 0) command.action(() => undefined);
    for (const child of command.commands) idle(child);
  };
  idle(program);
  return program;
}

/** Prose about the program, which is no command line. */
const isCommand = (line: string, names: readonly string[]): boolean => {
  const [first = ""] = wordsOf(line);
  return first.startsWith("-") || names.includes(first);
};

describe("a command that a text tells to type", () => {
  it("can be typed: the program knows it, with its arguments and options", async () => {
    const names = (await idleProgram()).commands.map((command) => command.name());
    const commands = printedCommands().filter(({ line }) => isCommand(line, names));
    expect(commands.length).toBeGreaterThan(60);
    const refused: string[] = [];
    for (const { where, line } of commands) {
      try {
        await (await idleProgram()).parseAsync([...wordsOf(line)], { from: "user" });
      } catch (error) {
        // A command that is only named is not told to be typed.
        if (error instanceof FlowctlError && error.code === "cli/missing-argument" && wordsOf(line).length === 1)
          continue;
        refused.push(`${where}: ${line}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    expect(refused.join("\n")).toBe("");
  });

  it("stands in backticks in a fix, so that it can be told from the words around it", async () => {
    const names = (await idleProgram()).commands.map((command) => command.name());
    const bare = new RegExp(`(?<![\`\\w/.-])flowctl (?:${names.join("|")})\\b`);
    const found = sources().flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => {
        return /\bfix(?::| {2})/.test(line) && bare.test(line) ? [`src/${path}:${index + 1}: ${line.trim()}`] : [];
      }),
    );
    expect(found.join("\n")).toBe("");
  });
});
