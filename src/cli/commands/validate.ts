import type { Command } from "commander";
import type { Problem } from "../../pipeline/problem.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  jsonOption,
  pipelineOptions,
  quietOption,
} from "../command.ts";
import { problemReport } from "../display/problem-report.ts";
import { ExitCode } from "../exit-codes.ts";
import { load } from "../load.ts";
import type { Flags } from "../settings.ts";

export function validateCommand(cli: Cli): Command {
  const command = describe({
    usage: "validate [files...]",
    summary: "Check a pipeline file and report every mistake",
    description: "Starts nothing and contacts no engine. Reports each mistake with file, line, column, code and fix.",
    examples: [
      ["flowctl validate quakes.yaml", "check one file"],
      ["flowctl validate -f base.yaml -f prod.yaml", "check merged files"],
      ["flowctl validate --json", "for machines"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.invalid],
  });
  jsonOption(quietOption(pipelineOptions(command)));
  return handle<[readonly string[]], Flags>(cli, command, validate);
}

async function validate(context: CommandContext, [files]: [readonly string[]]): Promise<ExitCode> {
  const { output, errorView } = context;
  const result = await load(context, files);
  const problems: readonly Problem[] = result.ok ? result.warnings : result.problems;
  if (output.json) {
    const { problemRecords } = await import("../../pipeline/render/render-problems.ts");
    output.printJson({
      valid: result.ok,
      ...(result.ok ? { pipeline: result.pipeline.name, files: result.pipeline.files } : {}),
      problems: problemRecords(problems),
    });
    return result.ok ? ExitCode.ok : ExitCode.invalid;
  }
  if (!result.ok) {
    output.stderr.write(`${problemReport(problems, result.texts, errorView)}\n\n`);
    output.stderr.write(`${output.paintError.red(count(problems))}\n`);
    return ExitCode.invalid;
  }
  if (problems.length > 0) output.say(problemReport(problems, result.texts, errorView));
  const { components, services, name } = result.pipeline;
  const parts = [`${components.length} ${components.length === 1 ? "component" : "components"}`];
  if (services.length > 0) parts.push(`${services.length} ${services.length === 1 ? "service" : "services"}`);
  output.say(`${output.paintError.green("✔")} ${name} is valid: ${parts.join(", ")}`);
  return ExitCode.ok;
}

/** How many problems of each kind: `2 errors, 1 warning`. */
export function count(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.length - errors;
  const parts = [`${errors} ${errors === 1 ? "error" : "errors"}`];
  if (warnings > 0) parts.push(`${warnings} ${warnings === 1 ? "warning" : "warnings"}`);
  return parts.join(", ");
}
