import { relative } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { GrantedAccess } from "../client/access-file.ts";
import { forHolder, type NeededAccess, requireAccess } from "./access/limits.ts";
import { readAccess } from "./access/read-access.ts";
import { DRIVERS, LOG_LEVELS, PROGRESS_MODES } from "./choices.ts";
import type { CliDependencies } from "./dependencies.ts";
import { createOutput, type Output } from "./display/output.ts";
import { createProgress } from "./display/progress.ts";
import type { ProgressRenderer } from "./display/progress-renderer.ts";
import { parseSpan } from "./display/quantities.ts";
import type { ErrorView } from "./display/render-error.ts";
import { withEnvSettings } from "./env-settings.ts";
import { describeExitCodes, type ExitCode } from "./exit-codes.ts";
import { aboutTheSame, type Invocation, invocationOf } from "./invocation.ts";
import { type Flags, readSettings, type Settings } from "./settings.ts";

/** What one run of the command line shares: the world, and where the exit code of a command goes. */
export interface Cli {
  readonly deps: CliDependencies;
  /** The words after `flowctl`, as they were typed; none where nothing is run. */
  args?(): readonly string[];
  finish(code: ExitCode): void;
  /** Told how the command was typed, before it runs. */
  began?(invocation: Invocation): void;
}

/** What a command's handler gets besides its own arguments and flags. */
export interface CommandContext {
  readonly deps: CliDependencies;
  readonly settings: Settings;
  readonly output: Output;
  /** How the command was typed. */
  readonly invocation: Invocation;
  /** Fires at the first interrupt. */
  readonly signal: AbortSignal;
  /** That of `--access` or FLOWCTL_ACCESS, which is then all that the command has, for one about what runs. */
  readonly access?: GrantedAccess | undefined;
  /** Shows progress until stopped. */
  progress(): Promise<ProgressRenderer>;
  /** How errors are shown on standard error. */
  readonly errorView: ErrorView;
}

export type Handler<Args extends readonly unknown[], Given extends Flags> = (
  context: CommandContext,
  args: Args,
  flags: Given,
) => Promise<ExitCode | undefined>;

export interface CommandText {
  /** Name and arguments, as commander takes them: `logs [id...]`. */
  readonly usage: string;
  readonly summary: string;
  /** More about it, as paragraphs; the summary is not repeated. */
  readonly description?: string;
  /** Commands with what they do; at least one. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Set for a command about what runs. */
  readonly withAccess?: NeededAccess;
  /** Set where its arguments are ids of what runs, or `id=n` of components, which completion then offers. */
  readonly takes?: "ids" | "ids-and-control-plane" | "numbers-of-components";
  /** Those worth listing in its help. */
  readonly exitCodes?: readonly ExitCode[];
}

/** A command that knows the text it was described with. */
export class DescribedCommand extends Command {
  readonly text: CommandText;

  constructor(name: string, text: CommandText) {
    super(name);
    this.text = text;
  }
}

/** An option whose value is the name of a pipeline: completion offers those that run. */
export class PipelineNameOption extends Option {}

/** A command without options, with its help. */
export function describe(text: CommandText): Command {
  const [name = "", ...args] = text.usage.split(" ");
  const command = new DescribedCommand(name, text).summary(text.summary);
  command.description(text.description === undefined ? text.summary : `${text.summary}.\n\n${text.description}`);
  if (args.length > 0) command.arguments(args.join(" "));
  return command.addHelpText("after", () => {
    let help = `\n${text.examples.length === 1 ? "Example" : "Examples"}:\n${exampleLines(command, text.examples).join("\n")}\n`;
    if (text.exitCodes !== undefined) {
      help += `\nExit codes:\n${describeExitCodes(text.exitCodes).join("\n")}\n`;
    }
    return help;
  });
}

/** Examples for the help of a command: side by side where all of them fit, else what each does is below it. */
export function exampleLines(command: Command, examples: CommandText["examples"]): readonly string[] {
  const width = Math.max(...examples.map(([line]) => line.length));
  const lines = examples.map(([line, what]) => `  ${line.padEnd(width)}  ${what}`);
  const fits = lines.every((line) => line.length <= (command.configureOutput().getOutHelpWidth?.() ?? 0));
  return fits ? lines : examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]);
}

/** Makes `handler` what the command does. Flags that no option declares are undefined. */
export function handle<Args extends readonly unknown[], Given extends Flags = Flags>(
  cli: Cli,
  command: Command,
  handler: Handler<Args, Given>,
): Command {
  return command.action(async (...all: unknown[]) => {
    const self = all.at(-1) as Command;
    const flags = self.optsWithGlobals() as Given;
    const invocation = invocationOf(self, cli.args?.() ?? [], cli.deps.cwd);
    cli.began?.(invocation);
    const context = await withAccess(await createContext(cli.deps, flags, invocation), command);
    const code = await handler(context, self.processedArgs as unknown as Args, flags).catch((error: unknown) => {
      throw context.access === undefined ? error : forHolder(error, context.access);
    });
    if (code !== undefined) cli.finish(code);
  });
}

async function withAccess(context: CommandContext, command: Command): Promise<CommandContext> {
  const needed = command instanceof DescribedCommand ? command.text.withAccess : undefined;
  if (needed === undefined) return context;
  const access = await readAccess(context.deps, context.settings, context.output);
  if (access !== undefined) requireAccess(needed, access, ["flowctl", ...context.invocation.command].join(" "));
  return { ...context, access };
}

async function createContext(deps: CliDependencies, flags: Flags, invocation: Invocation): Promise<CommandContext> {
  const { files } = invocation.selection;
  const { env, path = "", own, unknown } = await withEnvSettings({ envFile: flags.envFile, files }, deps.env, deps.cwd);
  const file = relative(deps.cwd, path);
  const settings = await readSettings(flags, env, (name) => (own.has(name) ? ` in ${file}` : ""));
  const { json, quiet } = settings;
  const retyped = (text: string): string => aboutTheSame(text, invocation);
  const output = createOutput({ stdout: deps.stdout, stderr: deps.stderr, env: deps.env, json, quiet, retyped });
  for (const { name, meant } of unknown) output.warn(`${name} in ${file} is not a setting`, `Did you mean ${meant}?`);
  return {
    deps,
    settings,
    output,
    invocation,
    signal: deps.interrupts.first,
    progress: () => createProgress(output, settings.progress),
    errorView: { paint: output.paintError, cwd: deps.cwd, debug: isDebugging(deps.env), retyped },
  };
}

/** Whether errors are to be shown with their stacks. */
export function isDebugging(env: CliDependencies["env"]): boolean {
  return env.FLOWCTL_DEBUG !== undefined && env.FLOWCTL_DEBUG !== "" && env.FLOWCTL_DEBUG !== "0";
}

const collect = (value: string, previous: readonly string[] | undefined): readonly string[] => [
  ...(previous ?? []),
  value,
];

/**
 * `-f`, `-p`, `--env-file`, `--profile`, `--driver`: which pipeline, on what. Where `-f` means to follow, as in
 * `logs -f`, the file has only its long form.
 */
export function pipelineOptions(command: Command, shortFile = true): Command {
  const file = shortFile ? "-f, --file <path>" : "--file <path>";
  const needed = command instanceof DescribedCommand ? command.text.withAccess : undefined;
  if (needed !== undefined) {
    const option = new Option("--access <file>", "use this access file, and nothing else, to reach the pipeline");
    command.addOption(option.hideHelp(needed !== "looks" && needed !== "operates"));
  }
  return command
    .addOption(new Option(file, "pipeline file; can be repeated, later files take precedence").argParser(collect))
    .addOption(new PipelineNameOption("-p, --project-name <name>", "name of the pipeline; beats `name:` in the file"))
    .addOption(new Option("--env-file <path>", "file with variables for interpolation, in place of .env"))
    .addOption(new Option("--profile <name>", "activate a profile; can be repeated").argParser(collect))
    .addOption(new Option("--driver <name>", "driver to run on").choices([...DRIVERS]));
}

export function jsonOption(command: Command): Command {
  command.option("--json", "print the result as one JSON document, and errors as JSON on standard error");
  if (command.options.some(({ long }) => long === "--format")) return command;
  // As Compose and kubectl have it.
  return command.addOption(
    new Option("--format <format>", "json: the same as --json").choices(["json", "table"]).hideHelp(),
  );
}

export function quietOption(command: Command): Command {
  return command.option("-q, --quiet", "print only results and errors");
}

export function progressOption(command: Command): Command {
  return command.addOption(
    new Option("--progress <mode>", "how to show progress (default: auto)").choices([...PROGRESS_MODES]),
  );
}

/** `--no-prefix`, and what Compose calls it. */
export function prefixOption(command: Command): Command {
  return command
    .option("--no-prefix", "do not prefix lines with the instance")
    .addOption(new Option("--no-log-prefix", "the same").hideHelp());
}

/** Whether log lines are to show which instance logged them. */
export function hasPrefix({ prefix = true, logPrefix = true }: PrefixFlags): boolean {
  return prefix && logPrefix;
}

export interface PrefixFlags {
  readonly prefix?: boolean;
  readonly logPrefix?: boolean;
}

/** Taken for those who know it from Compose, where it has to be asked for. */
export function orphansOption(command: Command): Command {
  return command.addOption(
    new Option(
      "--remove-orphans",
      "has no effect: components that are no longer in the file are always removed",
    ).hideHelp(),
  );
}

export function logLevelOption(command: Command): Command {
  return command.addOption(
    new Option("--log-level <level>", "log level of the components (default: info); debug logs every event").choices([
      ...LOG_LEVELS,
    ]),
  );
}

/** `--timeout`: in seconds or as a span such as 1m30s; the flag's value is in milliseconds. */
export function timeoutOption(command: Command, what: string, flags = "--timeout <span>"): Command {
  return command.addOption(new Option(flags, what).argParser(spanArgument));
}

/** `-t`, `--timeout`: how long what stops may take. */
export function stopTimeoutOption(command: Command, what = "end whatever has not stopped after this long"): Command {
  return timeoutOption(command, what, "-t, --timeout <span>");
}

/** For commander: a span of time in milliseconds, or a usage error. */
export function spanArgument(text: string): number {
  const ms = parseSpan(text);
  if (ms === undefined) throw new InvalidArgumentError("Give seconds, or a span such as 1m30s.");
  return ms;
}

/** For commander: `id=n` pairs gathered into a record. */
export function scaleArgument(
  text: string,
  previous: Readonly<Record<string, number>> | undefined,
): Readonly<Record<string, number>> {
  const match = /^([^=]+)=(\d+)$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Give a component and a number, such as enrich=3.");
  const [, id = ""] = match;
  const count = Number(match[2]);
  if (previous !== undefined && Object.hasOwn(previous, id))
    throw new InvalidArgumentError(`Give each component once: ${id} has a number already.`);
  if (count < 1 || count > 1000) throw new InvalidArgumentError("The number has to be from 1 to 1000.");
  return { ...previous, [id]: count };
}
