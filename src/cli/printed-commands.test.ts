import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import { splitShellWords } from "../pipeline/values/shell-words.ts";
import { CliHarness } from "./cli-harness.fake.ts";
import { aboutTheSame, invocationOf } from "./invocation.ts";
import { buildProgram } from "./program.ts";
import type { Flags } from "./settings.ts";

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
  return /^\s*(?:command: |const COMMAND = )$/.test(text.slice(text.lastIndexOf("\n", at) + 1, at));
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

/** The real program, of which no command does anything but say that it was found, with its options and arguments. */
async function idleProgram(found: (command: Command) => void = () => undefined): Promise<Command> {
  await using cli = await CliHarness.create({});
  const output = { isTTY: false, columns: 80, write: () => true } as never;
  const program = buildProgram({ deps: cli.dependencies(output, output), finish: () => undefined });
  const idle = (command: Command): void => {
    // One with commands below it may be a command of its own as well, such as init.
    if (command.commands.length === 0 || command.registeredArguments.length > 0)
      command.action((...all: unknown[]) => found(all.at(-1) as Command));
    for (const child of command.commands) idle(child);
  };
  idle(program);
  return program;
}

/** A placeholder says that a file is to be given. */
const takesFile = (line: string): boolean => /\bFILE\b|\.yaml\b/.test(line);

const byName = new Map<string, boolean>();

/** Whether a command with the name of a pipeline that runs elsewhere comes as far as that, without its file. */
async function findsByName(command: Command): Promise<boolean> {
  const name = command.name();
  const known = byName.get(name);
  if (known !== undefined) return known;
  await using cli = await CliHarness.create({ "deep/flowctl.yaml": FILE });
  await cli.run("up", "-d", "deep/flowctl.yaml");
  cli.controlPlane.state = "completed";
  const needed = command.registeredArguments
    .filter(({ required }) => required)
    .map(() => (name === "scale" ? "a=1" : "a"));
  const own = command.parent?.parent ? [command.parent.name(), name] : [name];
  const { stderr } = await cli.run(...own, "-p", "demo", ...needed);
  const found = !/pipeline\/file-missing|cli\/(?:which|no)-pipeline|There is no pipeline file/.test(stderr);
  byName.set(name, found);
  return found;
}

const FILE = `
name: demo
sources: { a: { uses: generator } }
sinks: { out: { uses: discard, inputs: [a] } }
`;

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

  it("is about the pipeline that the command was about whose text it is, wherever that was read from", async () => {
    const names = (await idleProgram()).commands.map((command) => command.name());
    const commands = printedCommands().filter(({ line }) => isCommand(line, names) && wordsOf(line).length > 0);
    const program = await idleProgram();
    const up = program.commands.find((command) => command.name() === "up") as Command;
    const typed = ["other.yaml", "-p", "mine", "--driver", "process", "--env-file=my env", "-d"];
    const invocation = invocationOf(up, ["up", ...typed], "/");
    const lost: string[] = [];
    let checked = 0;
    for (const { where, line } of commands) {
      const filled = `flowctl ${wordsOf(line).join(" ")}`;
      const said = aboutTheSame(`\`${filled}\``, invocation).slice(1, -1);
      let command: Command | undefined;
      const idle = await idleProgram((one) => {
        command = one;
      });
      await idle.parseAsync([...wordsOf(said)], { from: "user" }).catch(() => undefined);
      if (command?.options.every((option) => option.attributeName() !== "file") ?? true) continue;
      checked++;
      const { file, projectName, all } = command?.opts<Flags & { readonly all?: boolean }>() ?? {};
      const [argument] = (command?.args ?? []).slice(0, 1);
      const takes = command?.registeredArguments[0]?.name();
      const named = (takes === "pipeline" || takes === "files") && argument !== undefined;
      // By its name it is found from everywhere, by all commands that do not read the file.
      const found = await findsByName(command as Command);
      const right =
        file?.[0] === "other.yaml" || (found && (projectName !== undefined || named || all)) || takesFile(line);
      if (!right) lost.push(`${where}: ${said}`);
    }
    expect(checked).toBeGreaterThan(40);
    expect(lost.join("\n")).toBe("");
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
