import type { Command } from "commander";
import { type Cli, DescribedCommand } from "./command.ts";
import { describeExitCodes } from "./exit-codes.ts";
import { buildProgram } from "./program.ts";

/** The reference of the command line as Markdown, made from the commands themselves. Runs nothing. */
export function cliReference(): string {
  const program = buildProgram({ deps: nowhere(), finish: () => undefined });
  const commands = program
    .createHelp()
    .visibleCommands(program)
    .filter((command) => command.name() !== "help");
  const parts = [
    "# Command line",
    "<!-- Made by scripts/generate-cli-docs.ts from the commands; do not edit. -->",
    "Flags beat `FLOWCTL_*` variables, which beat the config file, which beats defaults. Results go to standard output, everything said about them to standard error. `--json` makes results one JSON document and errors one JSON object on standard error; `NO_COLOR` and `--quiet` do what their names say.",
    table(
      ["command", "what it does"],
      commands.map((command) => [`[\`${command.name()}\`](#flowctl-${command.name()})`, command.summary()]),
    ),
    "## Which pipeline",
    "A command is about, in this order: the pipeline named by its argument or `-p`; the files given with `-f` or as arguments; the `flowctl.yaml`, `flowctl.yml`, `pipeline.yaml` or `pipeline.yml` in the working directory or the nearest folder above it, with `flowctl.override.yaml` (or `pipeline.override.yaml`) beside it laid over it; the pipeline that belongs to this folder; for commands that change nothing, the only pipeline there is on this machine. A pipeline belongs to the folder of its first file: the same name from another folder is refused with `cli/other-folder`, and `-p` names another one. Commands about what runs ask every driver that answers, so they work without the file, too. When the file has mistakes, they go by the pipeline that is recorded for its folder, with a warning, and those that change something only where the file, as far as it is YAML, says that name; a file that says another name, or does not exist, is never taken for it. After `name` was edited, they name the pipelines that the folder still has.",
    "## Exit codes",
    ["```", ...describeExitCodes(), "```"].join("\n"),
    "## Variables",
    table(["variable", "stands for"], VARIABLES),
    "The first eight, but for `FLOWCTL_ENV_FILE` and `FLOWCTL_ACCESS`, `FLOWCTL_METRICS` and `FLOWCTL_PROGRESS` may also stand in `.env` (the file named with `--env-file`, else the one beside the pipeline file), below the environment. `FLOWCTL_FILE` is then relative to the folder of `.env`.",
    "## Config file",
    "`$FLOWCTL_CONFIG_FILE`, else `flowctl/config.yaml` in `$XDG_CONFIG_HOME` or `~/.config`. All keys may be left out:",
    [
      "```yaml",
      "driver: docker            # docker, process, kubernetes",
      "profiles: [dev]",
      "log_level: info           # debug, info, warn, error",
      "persistence: leveldb      # leveldb, memory",
      "metrics: open             # open, token",
      "progress: auto            # auto, tty, plain, json, quiet",
      "quiet: false",
      "```",
    ].join("\n"),
    ...commands.flatMap((command) => section(command, "flowctl", 2)),
  ];
  return `${parts.join("\n\n")}\n`;
}

const VARIABLES: readonly (readonly string[])[] = [
  ["`FLOWCTL_DRIVER`", "`--driver`"],
  ["`FLOWCTL_FILE`", "`-f`; several are separated by `:`"],
  ["`FLOWCTL_PROJECT_NAME`", "`-p`"],
  ["`FLOWCTL_ENV_FILE`", "`--env-file`"],
  ["`FLOWCTL_ACCESS`", "`--access`"],
  ["`FLOWCTL_PROFILES`", "`--profile`; several are separated by `,`"],
  ["`FLOWCTL_LOG_LEVEL`", "`--log-level`"],
  ["`FLOWCTL_INSECURE`", "`1` for `--insecure`"],
  ["`FLOWCTL_AUTHORITY`", "`--authority`"],
  ["`FLOWCTL_PERSISTENCE`", "`memory` for `--no-persistence`, or `leveldb`"],
  ["`FLOWCTL_METRICS`", "`--metrics`"],
  ["`FLOWCTL_PROGRESS`", "`--progress`"],
  ["`FLOWCTL_JSON`, `FLOWCTL_QUIET`", "`1` for `--json`, `--quiet`"],
  ["`FLOWCTL_CONFIG_FILE`", "path of the config file"],
  ["`FLOWCTL_HOME`", "state directory of the process driver"],
  ["`FLOWCTL_IMAGE`", "image of built-ins and the control plane on Docker"],
  ["`FLOWCTL_DEBUG`", "`1`: show stack traces of errors"],
  ["`NO_COLOR`, `FORCE_COLOR`", "disable colours; force colours where the output is not a terminal"],
];

function section(command: Command, parent: string, depth: number): readonly string[] {
  const name = `${parent} ${command.name()}`;
  const text = command instanceof DescribedCommand ? command.text : undefined;
  const help = command.createHelp();
  const parts = [`${"#".repeat(depth)} ${name}`, `${text?.summary ?? command.summary()}.`];
  if (text?.description !== undefined) parts.push(text.description);
  const usage = command.usage() === "" ? "" : ` ${command.usage()}`;
  parts.push(["```", `${name}${usage}`, "```"].join("\n"));
  const args = help.visibleArguments(command).filter(({ description }) => description !== "");
  const options = help.visibleOptions(command).filter(({ long }) => long !== "--help");
  const rows = [
    ...args.map((argument) => [`\`${help.argumentTerm(argument)}\``, help.argumentDescription(argument)]),
    ...options.map((option) => [`\`${help.optionTerm(option)}\``, help.optionDescription(option)]),
  ];
  if (rows.length > 0) parts.push(table(["option", "meaning"], rows));
  if (text !== undefined) {
    const width = Math.max(...text.examples.map(([line]) => line.length));
    const lines = text.examples.map(([line, what]) => `${line.padEnd(width)}  # ${what}`);
    parts.push(["```sh", ...lines, "```"].join("\n"));
  }
  const children = command.commands.filter((child) => child.name() !== "help");
  return [...parts, ...children.flatMap((child) => section(child, name, depth + 1))];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

/** Dependencies of a command line that is only looked at. */
function nowhere(): Cli["deps"] {
  const { stdout, stderr } = process;
  const never = new AbortController().signal;
  const refuse = (): never => {
    throw new Error("the reference runs no command");
  };
  return {
    version: "",
    env: {},
    cwd: "/",
    stdout,
    stderr,
    clock: { now: () => 0, elapsed: () => 0, sleep: refuse },
    interrupts: { first: never, second: never, answerSecond: refuse, ignoreOutput: refuse },
    driverNames: [],
    driver: refuse,
    connect: refuse,
    catalog: refuse,
    homeKey: refuse,
    readStdin: refuse,
    runBuiltin: refuse,
    hasSystemd: () => false,
    packageRoot: "/",
  };
}
