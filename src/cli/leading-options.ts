import type { Command, Option } from "commander";

/**
 * Moves options that stand before the command, where Compose, kubectl and git take them, to where commander looks for them:
 * `-f x up -d` becomes `up --file x -d`. What is no option of any command stays where it is.
 */
export function withoutLeadingOptions(args: readonly string[], program: Command): readonly string[] {
  const leading: string[] = [];
  let at = 0;
  for (let word = args[at]; word?.startsWith("-") && word !== "--"; word = args[at]) {
    const read = readOption(args, at, program);
    if (read === undefined) return args;
    leading.push(...read.words);
    at += read.length;
  }
  const names = commandAt(args, at, program);
  if (leading.length === 0 || names === 0) return args;
  return [...args.slice(at, at + names), ...leading, ...args.slice(at + names)];
}

/** The option at this place by its long name, as `-f` means something else to some commands; and how many words it takes. */
function readOption(
  args: readonly string[],
  at: number,
  program: Command,
): { readonly words: readonly string[]; readonly length: number } | undefined {
  const word = args[at] as string;
  const [, long = word, attached] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
  const option = optionsOf(program).find((one) => one.long === long || one.short === word);
  if (option?.long === undefined) return undefined;
  if (attached !== undefined) return { words: [option.long, attached], length: 1 };
  if (!option.required) return { words: [option.long], length: 1 };
  const value = args[at + 1];
  return value === undefined ? undefined : { words: [option.long, value], length: 2 };
}

/** Of `up`, which has all that say which pipeline is meant and how it is shown. */
function optionsOf(program: Command): readonly Option[] {
  const up = program.commands.find((command) => command.name() === "up");
  return (up?.options ?? []).filter((option) => GLOBAL.has(option.attributeName()));
}

const GLOBAL: ReadonlySet<string> = new Set([
  ...["file", "projectName", "envFile", "profile", "driver", "access"],
  ...["json", "format", "quiet", "progress", "logLevel"],
]);

/** How many words from this place on name a command. */
function commandAt(args: readonly string[], at: number, program: Command): number {
  let command = program;
  let count = 0;
  for (const word of args.slice(at)) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) break;
    command = next;
    count++;
  }
  return count;
}
