import { Command, type CommanderError } from "commander";
import { type Cli, type CommandText, exampleLines } from "./command.ts";
import { accessCommand } from "./commands/access.ts";
import { completionCommand } from "./commands/completion.ts";
import { componentCommand } from "./commands/component.ts";
import { configCommand } from "./commands/config.ts";
import { deadLettersCommand } from "./commands/dead-letters.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { downCommand } from "./commands/down.ts";
import { eventsCommand } from "./commands/events.ts";
import { graphCommand } from "./commands/graph.ts";
import { idsCommand } from "./commands/ids.ts";
import { initCommand } from "./commands/init.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { restartCommand, startCommand, stopCommand } from "./commands/lifecycle.ts";
import { logsCommand } from "./commands/logs.ts";
import { psCommand } from "./commands/ps.ts";
import { runCommand } from "./commands/run.ts";
import { scaleCommand } from "./commands/scale.ts";
import { schemaCommand } from "./commands/schema.ts";
import { serviceCommand } from "./commands/service.ts";
import { statusCommand } from "./commands/status.ts";
import { upCommand } from "./commands/up.ts";
import { validateCommand } from "./commands/validate.ts";
import { versionCommand } from "./commands/version.ts";
import { waitCommand } from "./commands/wait.ts";
import { describeExitCodes } from "./exit-codes.ts";
import { wrongCommand } from "./wrong-command.ts";

const EXAMPLES: CommandText["examples"] = [
  ["flowctl init demo && cd demo && flowctl run", "a first pipeline, from nothing to its summary"],
  ["flowctl up pipeline.yaml", "start it and follow it; Ctrl-C stops it gracefully"],
];

/** The whole command line. Parsing it runs the command; it throws CommanderError instead of ending the process. */
export function buildProgram(cli: Cli): Command {
  const program = new Command("flowctl")
    .description(
      "Runs streaming data pipelines from one Compose-like file, on Docker and on local processes.\n\nFlags beat FLOWCTL_* variables, which beat ~/.config/flowctl/config.yaml, which beats defaults.",
    )
    .version(`flowctl ${cli.deps.version}`, "-V, --version", "print the version")
    .helpCommand("help [command]", "show the help of a command")
    .showSuggestionAfterError(false)
    .addHelpText(
      "after",
      ({ command }) =>
        `\nExamples:\n${exampleLines(command, EXAMPLES).join("\n")}\n\nExit codes:\n${describeExitCodes().join("\n")}\n`,
    );
  const groups: readonly (readonly [string, readonly Command[]])[] = [
    ["Run:", [upCommand(cli), runCommand(cli), downCommand(cli), waitCommand(cli)]],
    ["Look:", [psCommand(cli), logsCommand(cli), statusCommand(cli), eventsCommand(cli), inspectCommand(cli)]],
    ["Change:", [startCommand(cli), stopCommand(cli), restartCommand(cli), scaleCommand(cli), deadLettersCommand(cli)]],
    [
      "Write:",
      [
        initCommand(cli),
        validateCommand(cli),
        configCommand(cli),
        graphCommand(cli),
        schemaCommand(cli),
        componentCommand(cli),
      ],
    ],
    [
      "Other:",
      [accessCommand(cli), doctorCommand(cli), serviceCommand(cli), versionCommand(cli), completionCommand(cli)],
    ],
  ];
  for (const [title, commands] of groups) {
    for (const command of commands) program.addCommand(command.helpGroup(title));
  }
  program.addCommand(idsCommand(cli), { hidden: true });
  return inherit(program, cli);
}

/** Columns of help that is not printed on a terminal. */
const HELP_WIDTH = 80;

/** Every command throws instead of ending the process or saying what is wrong, and writes to the injected streams. */
function inherit(command: Command, cli: Cli): Command {
  const { stdout, stderr } = cli.deps;
  const onExit = (error: CommanderError): never => {
    throw error.exitCode === 0 ? error : wrongCommand(error, command);
  };
  // What is meant is said by `wrongCommand`.
  command
    .showSuggestionAfterError(false)
    .exitOverride(onExit)
    .configureOutput({
      outputError: () => undefined,
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => stdout.columns || HELP_WIDTH,
      getErrHelpWidth: () => stderr.columns || HELP_WIDTH,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const child of command.commands) inherit(child, cli);
  return command;
}
