import type { Command, CommanderError } from "commander";
import { FlowctlError } from "../foundation/errors.ts";
import { insteadOfCommand, insteadOfOption } from "./habits.ts";

/** What commander refused of a command line, as every other error: with a code, and with what to do. */
export function wrongCommand(error: CommanderError, command: Command): FlowctlError {
  const help = `\`${pathOf(command)} --help\` shows what there is`;
  if (error.code === "commander.help") return noCommand(command, help);
  const said = error.message
    .replace(/^error: /, "")
    .replace(/^command-argument value ('.*') is invalid for argument '.*'\. /, "argument $1 is invalid. ");
  // What a value has to be stands behind what is wrong with it.
  const [, message = said, wanted = ""] = /^(.* is invalid)\. (.*)$/.exec(said) ?? [];
  const [, word = ""] = /'(.*)'/.exec(said) ?? [];
  const near =
    error.code === "commander.unknownCommand"
      ? insteadOfCommand(word, command)
      : error.code === "commander.unknownOption"
        ? insteadOfOption(word, command)
        : undefined;
  return new FlowctlError({
    code: `cli/${error.code.replace(/^commander\./, "").replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`,
    kind: "usage",
    message,
    fix: wanted || (near ?? help),
  });
}

/** Commander shows the help of a command that needs one of those below it, and for `help` of one that it does not have. */
function noCommand(command: Command, help: string): FlowctlError {
  const [word, name] = command.args;
  return word === "help" && name !== undefined
    ? new FlowctlError({ code: "cli/unknown-command", kind: "usage", message: `unknown command '${name}'`, fix: help })
    : new FlowctlError({
        code: "cli/missing-command",
        kind: "usage",
        message: `\`${pathOf(command)}\` alone does nothing`,
        fix: `Name one of ${command.commands.map((child) => child.name()).join(", ")}`,
      });
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
