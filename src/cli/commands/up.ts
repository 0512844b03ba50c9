import { type Command, Option } from "commander";
import { isEmpty } from "../../planner/plan.ts";
import { planDocument, renderPlanText } from "../../planner/render-plan.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  jsonOption,
  logLevelOption,
  pipelineOptions,
  progressOption,
  quietOption,
  scaleArgument,
  timeoutOption,
} from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { attach, startPrepared } from "../up/attach.ts";
import { type PreparedUp, prepareUp } from "../up/bring-up.ts";
import { waitForState } from "../up/wait-for-state.ts";

export interface UpFlags extends Flags {
  readonly detach?: boolean;
  readonly wait?: boolean;
  readonly timeout?: number;
  readonly build?: boolean;
  readonly scale?: Readonly<Record<string, number>>;
  readonly dryRun?: boolean;
  readonly forceRecreate?: boolean;
  readonly timestamps?: boolean;
  readonly prefix?: boolean;
  readonly discard?: boolean;
}

export function upCommand(cli: Cli): Command {
  const command = describe({
    usage: "up [files...]",
    summary: "Start a pipeline, or change a running one to what its file says",
    description:
      "Compares the file with what runs, shows what is going to change and why, and changes only that. Attached, it shows the logs until the pipeline completes or fails; the first Ctrl-C lets it finish what is in flight and stops it, the second ends it at once.",
    examples: [
      ["flowctl up", "the pipeline of this folder"],
      ["flowctl up quakes.yaml -d --wait", "in the background, return when it is healthy"],
      ["flowctl up --dry-run", "only show what would change"],
      ["flowctl up --scale enrich=3", "three instances of enrich"],
    ],
    exitCodes: Object.values(ExitCode),
  });
  pipelineOptions(command);
  upOptions(command)
    .option("-d, --detach", "start it in the background and return")
    .option("--wait", "start it in the background, return when it is healthy or completed")
    .option("--dry-run", "only show what would be done")
    .option("--discard", "give up events that a removed component holds and cannot hand on");
  timeoutOption(command, "with --wait: give up after this long");
  jsonOption(quietOption(progressOption(command)));
  return handle<[readonly string[]], UpFlags>(cli, command, up);
}

/** Options that `up` and `run` share. */
export function upOptions(command: Command): Command {
  command
    .option("--build", "build images even where one is there")
    .addOption(new Option("--scale <id=n>", "run n instances of a component; may be repeated").argParser(scaleArgument))
    .option("--force-recreate", "replace components and services that have not changed, too")
    .option("--no-persistence", "keep the state of the control plane in memory")
    .option("--timestamps", "show the time of each log line")
    .option("--no-prefix", "do not show which instance logged a line");
  return logLevelOption(command);
}

async function up(
  context: CommandContext,
  [files]: [readonly string[]],
  flags: UpFlags,
): Promise<ExitCode | undefined> {
  const { deps, output } = context;
  if (flags.detach || flags.wait) deps.interrupts.ignoreOutput();
  const prepared = await prepareUp(context, files, {
    build: flags.build ?? false,
    dryRun: flags.dryRun ?? false,
    forceRecreate: flags.forceRecreate ?? false,
    scale: flags.scale ?? {},
    discard: flags.discard ?? false,
  });
  if (flags.dryRun) {
    if (output.json) output.printJson({ driver: prepared.driver.name, ...planDocument(prepared.plan) });
    else output.print(renderPlanText(prepared.plan));
    return ExitCode.ok;
  }
  if (flags.detach || flags.wait) return detached(context, prepared, flags);
  const ending = await attach(context, prepared, {
    ephemeral: false,
    timestamps: flags.timestamps ?? false,
    prefix: flags.prefix ?? true,
  });
  if (ending.error !== undefined) throw ending.error;
  output.say(`${prepared.pipeline.name} completed`);
  return ExitCode.ok;
}

async function detached(context: CommandContext, prepared: PreparedUp, flags: UpFlags): Promise<ExitCode> {
  const { output, deps } = context;
  const { pipeline, driver, plan, access } = prepared;
  const startedAt = deps.clock.now();
  try {
    await startPrepared(context, prepared);
    const state = flags.wait
      ? await waitForState(context, { access, driver, pipeline: pipeline.name }, "healthy", {
          timeoutMs: flags.timeout,
          since: { before: prepared.before, plan, startedAt },
        })
      : isEmpty(plan)
        ? "unchanged"
        : "started";
    if (output.json) output.printJson({ driver: driver.name, state, ...planDocument(plan) });
    else if (state !== "unchanged") output.say(`${pipeline.name} ${state === "healthy" ? "is healthy" : state}`);
    return ExitCode.ok;
  } finally {
    access.close();
  }
}
