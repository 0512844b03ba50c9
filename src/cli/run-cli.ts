import { CommanderError } from "commander";
import { FlowctlError } from "../foundation/errors.ts";
import { isDebugging } from "./command.ts";
import type { CliDependencies } from "./dependencies.ts";
import { createOutput } from "./display/output.ts";
import { type ErrorView, errorDocument, renderError } from "./display/render-error.ts";
import { ExitCode, exitCodeOf, OUTPUT_CLOSED } from "./exit-codes.ts";
import { aboutTheSame } from "./invocation.ts";
import { withoutLeadingOptions } from "./leading-options.ts";
import { InvalidPipeline } from "./load.ts";
import { buildProgram } from "./program.ts";

/**
 * Runs the command line (`args` without program and script) and returns its exit code. Errors are shown on standard
 * error, for `--json` as one JSON object. Never rejects, never ends the process.
 */
export async function runCli(typed: readonly string[], deps: CliDependencies): Promise<ExitCode> {
  let code: ExitCode = ExitCode.ok;
  let retyped: ErrorView["retyped"];
  let args = typed;
  const program = buildProgram({
    deps,
    args: () => args,
    began: (invocation) => {
      retyped = (text) => aboutTheSame(text, invocation);
    },
    finish: (finished) => {
      code = finished;
    },
  });
  args = withoutLeadingOptions(typed, program);
  const json = asksForJson(args, deps.env);
  // The help that commander shows where a command is missing is for people.
  if (json) silence(program);
  try {
    if (args.length === 0) {
      program.outputHelp();
      return ExitCode.ok;
    }
    await program.parseAsync([...args], { from: "user" });
    return code;
  } catch (error) {
    // Help and version were asked for, and are shown.
    if (error instanceof CommanderError) return ExitCode.ok;
    await report(error, deps, { json, retyped });
    return exitCodeOf(error);
  }
}

/** How a failure is told. */
type Telling = { readonly json: boolean } & Pick<ErrorView, "retyped">;

async function report(error: unknown, deps: CliDependencies, telling: Telling): Promise<void> {
  if (error instanceof FlowctlError && error.code === OUTPUT_CLOSED) return;
  if (error instanceof InvalidPipeline) return reportInvalid(error, deps, telling);
  deps.stderr.write(failureText(error, deps, telling));
}

/** What is written on standard error about a failed command: one JSON object with `json`, else for people. */
export function failureText(error: unknown, deps: CliDependencies, { json, retyped }: Telling): string {
  const { stdout, stderr, env, cwd } = deps;
  if (json) return `${JSON.stringify(errorDocument(error, { retyped }))}\n`;
  const { paintError } = createOutput({ stdout, stderr, env, json, quiet: false });
  if (error instanceof FlowctlError && error.kind === "cancelled") return `${paintError.yellow("interrupted")}\n`;
  return `${renderError(error, { paint: paintError, cwd, debug: isDebugging(env), retyped })}\n`;
}

async function reportInvalid(error: InvalidPipeline, deps: CliDependencies, { json, retyped }: Telling): Promise<void> {
  const { stdout, stderr, env, cwd } = deps;
  if (json) {
    const { problemRecords } = await import("../pipeline/render/render-problems.ts");
    stderr.write(
      `${JSON.stringify({ ...errorDocument(error, { retyped }), problems: problemRecords(error.problems) })}\n`,
    );
    return;
  }
  const { problemReport } = await import("./display/problem-report.ts");
  const { paintError } = createOutput({ stdout, stderr, env, json, quiet: false });
  const view = { paint: paintError, cwd, debug: isDebugging(env) };
  const fix = error.fix === undefined ? "" : `  ${paintError.dim("fix")}  ${(retyped ?? String)(error.fix)}\n`;
  stderr.write(`${problemReport(error.problems, error.texts, view)}\n\n${paintError.red(error.message)}\n${fix}`);
}

function silence(command: ReturnType<typeof buildProgram>): void {
  command.configureOutput({ ...command.configureOutput(), writeErr: () => undefined });
  for (const child of command.commands) silence(child);
}

/** Whether a command line asks for errors as JSON objects. */
export function asksForJson(args: readonly string[], env: CliDependencies["env"]): boolean {
  const end = args.indexOf("--");
  const own = end === -1 ? args : args.slice(0, end);
  const format = own.findIndex((word) => word.startsWith("--format"));
  const named = format === -1 ? undefined : own[format] === "--format" ? own[format + 1] : own[format]?.slice(9);
  return own.includes("--json") || named === "json" || /^(1|true|yes|on)$/i.test(env.FLOWCTL_JSON ?? "");
}
