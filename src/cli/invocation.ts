import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command, Option } from "commander";
import { splitShellWords } from "../pipeline/values/shell-words.ts";

/** How a command was typed: what says which pipeline it is about, and the rest. */
export interface Invocation {
  /** Names of the command, such as `["dead-letters", "replay"]`. */
  readonly command: readonly string[];
  /** Flags and argument that say which pipeline is meant, as words with `-f` and `-p`, ready to be typed after any command. */
  readonly selection: Selection;
  /** Everything else that was typed, as words. */
  readonly rest: readonly string[];
  readonly program: Command;
}

/** Words by what they say. */
export interface Selection {
  /** Of `-f`, or files that were given as arguments. */
  readonly files: readonly string[];
  readonly name: string | undefined;
  /** `--driver`, `--env-file` and `--profile`, with their values. */
  readonly others: readonly string[];
}

/** Commands that find a pipeline by its name alone. All others that take `-f` read the file. */
const NAME_IS_ENOUGH: ReadonlySet<string> = new Set([
  ...["down", "stop", "start", "restart", "wait"],
  ...["ps", "logs", "status", "events", "inspect", "doctor"],
]);

const SELECTING: ReadonlySet<string> = new Set(["file", "projectName", "driver", "envFile", "profile"]);

/** Reads a command line, of which commander has found out that `command` is meant. `args` are all words after `flowctl`. */
export function invocationOf(command: Command, args: readonly string[], cwd: string): Invocation {
  const names = namesOf(command);
  const words = readWords(command, args.slice(names.length));
  const operand = command.registeredArguments[0]?.name();
  const operands = operand === "files" || operand === "pipeline" ? words.operands : [];
  const isFile = (word: string): boolean => operand === "files" || looksLikeFile(word, cwd);
  const given = (key: string): readonly string[] =>
    words.selecting.flatMap(({ key: one, value }) => (one === key ? [value] : []));
  const files = operands.filter(isFile);
  const others = words.selecting.filter(({ key }) => key !== "file" && key !== "projectName");
  return {
    command: names,
    selection: {
      files: files.length > 0 ? files : given("file"),
      name: operands.find((word) => !isFile(word)) ?? given("projectName").at(-1),
      others: others.flatMap(({ option, value }) => [option.long ?? "", value]),
    },
    rest: [...words.rest, ...(operands.length > 0 ? [] : words.operands), ...words.beyond],
    program: rootOf(command),
  };
}

/** Whether an argument is a file rather than the name of a pipeline. */
export function looksLikeFile(word: string, cwd: string): boolean {
  return word === "-" || word.includes("/") || /\.ya?ml$/.test(word) || existsSync(resolve(cwd, word));
}

/** The same command line about the pipeline of that name. */
export function sameFor(name: string, { command, selection, rest }: Invocation): string {
  return ["flowctl", ...command, "-p", name, ...selection.others, ...rest].map(quoted).join(" ");
}

/**
 * A text in which every command of ours that stands in backticks, and does not say which pipeline it is about, is about the one that
 * this command line was about: somebody who types it gets what the text promises, whatever else is in the folder.
 */
export function aboutTheSame(text: string, invocation: Invocation): string {
  // A command with who runs it behind is only named.
  return text.replaceAll(/`flowctl ([^`]+)`(?! \()/g, (whole, line: string) => {
    const selected = select(line, invocation);
    return selected === undefined ? whole : `\`flowctl ${selected}\``;
  });
}

/** The line with what it lacks; undefined where that is nothing. */
function select(line: string, { selection, program }: Invocation): string | undefined {
  const words = splitShellWords(line) ?? [];
  const command = commandOf(program, words);
  const names = namesOf(command);
  const file = command.options.find((option) => option.attributeName() === "file");
  if (names.length === 0 || file === undefined) return undefined;
  const { selecting, operands, rest } = readWords(command, words.slice(names.length));
  const operand = command.registeredArguments[0]?.name();
  const named = (operand === "pipeline" || operand === "files") && operands.length > 0;
  const has = (key: string): boolean => selecting.some((one) => one.key === key);
  const byName = has("projectName") || (named && operand === "pipeline");
  if (has("file") || (named && operand === "files")) return undefined;
  if (NAME_IS_ENOUGH.has(names[0] ?? "") && (byName || isAboutAll(command, rest))) return undefined;
  const added = [
    ...selection.files.flatMap((path) => [file.short ?? file.long ?? "", path]),
    ...(selection.name === undefined || byName ? [] : ["-p", selection.name]),
    ...(byName ? [] : selection.others),
  ];
  if (added.length === 0) return undefined;
  const prefix = names.join(" ");
  return `${prefix} ${added.map(quoted).join(" ")}${line.slice(prefix.length)}`;
}

/** `ps -a` is about every pipeline. */
function isAboutAll(command: Command, words: readonly string[]): boolean {
  return command.name() === "ps" && words.some((word) => word === "-a" || word === "--all");
}

interface Words {
  readonly selecting: readonly { readonly key: string; readonly option: Option; readonly value: string }[];
  readonly operands: readonly string[];
  readonly rest: readonly string[];
  /** `--` and what follows it. */
  readonly beyond: readonly string[];
}

function readWords(command: Command, words: readonly string[]): Words {
  const selecting: Words["selecting"][number][] = [];
  const operands: string[] = [];
  const rest: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    if (word === "--") return { selecting, operands, rest, beyond: words.slice(at) };
    if (!word.startsWith("-") || word === "-") {
      operands.push(word);
      continue;
    }
    const { option, attached } = optionOf(command, word);
    const takesValue = option !== undefined && (option.required || option.optional);
    const value = attached ?? (takesValue ? words[++at] : undefined);
    if (option !== undefined && value !== undefined && SELECTING.has(option.attributeName())) {
      selecting.push({ key: option.attributeName(), option, value });
    } else rest.push(word, ...(attached === undefined && value !== undefined ? [value] : []));
  }
  return { selecting, operands, rest, beyond: [] };
}

/** The option that a word names, and a value that is in the same word: `--file=a`, `-fa`. */
function optionOf(
  command: Command,
  word: string,
): { readonly option?: Option | undefined; readonly attached?: string } {
  const long = /^(--[^=]+)=(.*)$/s.exec(word);
  if (long !== null) return { option: command.options.find((one) => one.long === long[1]), attached: long[2] ?? "" };
  const exact = command.options.find((one) => one.long === word || one.short === word);
  if (exact !== undefined || word.startsWith("--")) return { option: exact };
  const short = command.options.find((one) => one.short === word.slice(0, 2));
  return short !== undefined && (short.required || short.optional) ? { option: short, attached: word.slice(2) } : {};
}

function commandOf(program: Command, words: readonly string[]): Command {
  let command = program;
  for (const word of words) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) break;
    command = next;
  }
  return command;
}

function namesOf(command: Command): readonly string[] {
  return command.parent === null ? [] : [...namesOf(command.parent), command.name()];
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

/** As a shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
