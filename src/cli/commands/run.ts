import type { Command } from "commander";
import { FlowctlError } from "../../foundation/errors.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  hasPrefix,
  jsonOption,
  pipelineOptions,
  progressOption,
  quietOption,
} from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import { attach } from "../up/attach.ts";
import { prepareUp } from "../up/bring-up.ts";
import { renderSummary, summarize } from "../up/summary.ts";
import { type UpFlags, upOptions } from "./up.ts";

export function runCommand(cli: Cli): Command {
  const command = describe({
    usage: "run [files...]",
    summary: "Run a pipeline to its end, then take everything down",
    description:
      "Like an attached `up`, but removes everything at the end, including state and volumes (also after a failure or Ctrl-C), and prints a summary: events in and out of each component, duration, and where the results are.",
    withAccess: "changes",
    examples: [
      ["flowctl run quakes.yaml", "run it once"],
      ["flowctl run --log-level=debug", "log every event sent and received"],
      ["flowctl run --json > summary.json", "the summary for machines, last in the output"],
    ],
    exitCodes: Object.values(ExitCode),
  });
  upOptions(pipelineOptions(command));
  jsonOption(quietOption(progressOption(command)));
  return handle<[readonly string[]], UpFlags>(cli, command, run);
}

async function run(context: CommandContext, [files]: [readonly string[]], flags: UpFlags): Promise<ExitCode> {
  const { deps, output } = context;
  const prepared = await prepareUp(context, files, {
    build: flags.build ?? false,
    dryRun: false,
    forceRecreate: false,
    scale: flags.scale ?? {},
    command: "flowctl run",
  });
  const { pipeline } = prepared;
  if (prepared.observed.length > 0) {
    prepared.release();
    prepared.access.close();
    throw new FlowctlError({
      code: "cli/exists-already",
      kind: "conflict",
      message: `${pipeline.name} already exists, and \`run\` would take it down at the end`,
      fix: `Remove it first with \`flowctl down -v -p ${pipeline.name}\`, use \`flowctl up\`, or give this run another name with -p`,
    });
  }
  const ending = await attach(context, prepared, {
    ephemeral: true,
    timestamps: flags.timestamps ?? false,
    prefix: hasPrefix(flags),
  });
  if (ending.record !== undefined) {
    const summary = summarize(pipeline, ending.record, await deps.catalog(), ending);
    if (output.json) output.stdout.write(`${JSON.stringify({ summary })}\n`);
    else output.print(renderSummary(summary, output, deps.cwd));
  }
  if (ending.error !== undefined) throw ending.error;
  return ExitCode.ok;
}
