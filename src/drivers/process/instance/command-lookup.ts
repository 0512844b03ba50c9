import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";

export interface CommandContext {
  /** Component id, for errors. */
  readonly component: string;
  /** Absolute; where the program will run, and what a command with a slash is relative to. */
  readonly directory: string;
  /** The PATH that the component will have. */
  readonly path: string;
}

/**
 * The absolute path of the program that `command` names, as a shell would find it. Throws
 * `process/command-not-found` or `process/command-not-executable`.
 */
export function findCommand(command: string, context: CommandContext): string {
  if (command.includes("/")) {
    const program = isAbsolute(command) ? command : resolve(context.directory, command);
    const problem = problemOf(program);
    if (problem === undefined) return program;
    throw problem === "missing"
      ? notFound(command, `${program} does not exist`, context)
      : notExecutable(program, context);
  }
  const folders = context.path.split(delimiter).filter((folder) => folder !== "");
  let unusable: string | undefined;
  for (const folder of folders) {
    const program = join(folder, command);
    const problem = problemOf(program);
    if (problem === undefined) return program;
    if (problem === "not executable") unusable ??= program;
  }
  if (unusable !== undefined) throw notExecutable(unusable, context);
  throw notFound(command, "not in PATH", context);
}

function problemOf(program: string): "missing" | "not executable" | undefined {
  if (!(statSync(program, { throwIfNoEntry: false })?.isFile() ?? false)) return "missing";
  try {
    accessSync(program, constants.X_OK);
    return undefined;
  } catch {
    return "not executable";
  }
}

function notFound(command: string, why: string, context: CommandContext): FlowctlError {
  return new FlowctlError({
    code: "process/command-not-found",
    kind: "not-found",
    message: `The command ${JSON.stringify(command)} of ${context.component} was not found: ${why}`,
    fix: command.includes("/")
      ? `Build or install it, or fix the path, which is relative to ${context.directory}`
      : "Install it, or use a path with a slash, such as ./bin/program",
  });
}

function notExecutable(program: string, context: CommandContext): FlowctlError {
  return new FlowctlError({
    code: "process/command-not-executable",
    kind: "invalid",
    message: `The command of ${context.component} is not executable: ${program}`,
    fix: `Run \`chmod +x ${program}\`, or put the interpreter first: [node, ${program}]`,
  });
}
