import { type Command, Option } from "commander";
import { FlowctlError } from "../../foundation/errors.ts";
import { isEmpty } from "../../planner/plan.ts";
import { planDocument, renderPlanText } from "../../planner/render-plan.ts";
import { METRICS_ACCESS } from "../choices.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  hasPrefix,
  jsonOption,
  logLevelOption,
  orphansOption,
  type PrefixFlags,
  pipelineOptions,
  prefixOption,
  progressOption,
  quietOption,
  scaleArgument,
  spanArgument,
  timeoutOption,
} from "../command.ts";
import { fitLines } from "../display/fit-lines.ts";
import type { Output } from "../display/output.ts";
import { ExitCode } from "../exit-codes.ts";
import { findPipelineFiles } from "../find-pipeline-files.ts";
import type { Flags } from "../settings.ts";
import { attach } from "../up/attach.ts";
import { sayBanner } from "../up/banner.ts";
import { type BringUpOptions, prepareUp } from "../up/bring-up.ts";
import type { PreparedUp } from "../up/change.ts";
import { carryOutOrJoin } from "../up/plan-again.ts";
import { rollBack } from "../up/roll-back.ts";
import { startPrepared } from "../up/start-prepared.ts";
import { startUntilHealthy } from "../up/until-healthy.ts";

export interface UpFlags extends Flags, PrefixFlags {
  readonly detach?: boolean;
  readonly wait?: boolean;
  readonly watch?: boolean;
  readonly rollback?: boolean;
  readonly timeout?: number;
  readonly waitTimeout?: number;
  readonly build?: boolean;
  readonly scale?: Readonly<Record<string, number>>;
  readonly dryRun?: boolean;
  readonly forceRecreate?: boolean;
  readonly timestamps?: boolean;
  readonly discard?: boolean;
}

export function upCommand(cli: Cli): Command {
  const command = describe({
    usage: "up [files...]",
    summary: "Start a pipeline, or apply its edited file",
    description:
      "Compares the file with the running pipeline, shows what will change and why, and changes only that. Attached, it shows the logs until the pipeline completes or fails; the first Ctrl-C drains and stops it, the second stops it now. With --wait, a change that does not become healthy is rolled back, and the exit code says what went wrong. With --watch, every saved edit of the pipeline file and the files it reads, of a build context (Docker) or of the sources of a command (processes) is applied as another up would, until Ctrl-C. Secrets with `command` are read by running it, also with --dry-run.",
    withAccess: "changes",
    examples: [
      ["flowctl up", "the pipeline of this folder"],
      ["flowctl up quakes.yaml -d --wait", "in the background; return when it is healthy"],
      ["flowctl up --wait --timeout 2m", "roll back if it is not healthy within 2 minutes"],
      ["flowctl up --watch", "apply edits as you save them"],
      ["flowctl up --dry-run", "show what would change"],
      ["flowctl up --scale enrich=3", "three instances of enrich"],
    ],
    exitCodes: Object.values(ExitCode),
  });
  pipelineOptions(command);
  upOptions(command)
    .option("-d, --detach", "run in the background")
    .option("--wait", "run in the background; return when it is healthy or completed, and roll back otherwise")
    .option("--no-rollback", "with --wait: do not roll back a change that fails")
    .option("--watch", "stay attached and apply every edit as it is saved")
    .option("--dry-run", "show what would change, without changing anything; fails if the change would be refused")
    .option("--discard", "discard events that a removed component cannot deliver");
  timeoutOption(command, "with --wait: fail after this time");
  command.addOption(new Option("--wait-timeout <span>", "the same").argParser(spanArgument).hideHelp());
  jsonOption(quietOption(progressOption(command)));
  return handle<[readonly string[]], UpFlags>(cli, command, up);
}

/** Options that `up` and `run` share. */
export function upOptions(command: Command): Command {
  command
    .option("--build", "build images even if they exist")
    .addOption(new Option("--scale <id=n>", "run n instances of a component; can be repeated").argParser(scaleArgument))
    .option("--force-recreate", "replace components and services even if they have not changed")
    .option("--no-persistence", "keep the control plane's state in memory only")
    .option("--insecure", "let components and commands connect without certificates, on 127.0.0.1 alone")
    .addOption(
      new Option(
        "--metrics <access>",
        "who may read the control plane's /metrics: whoever reaches it, or who has a token (not with --insecure: there are none)",
      ).choices([...METRICS_ACCESS]),
    )
    .option("--authority <file>", "certificate and key of your own authority, which signs the pipeline's")
    .option("--timestamps", "show timestamps");
  return logLevelOption(orphansOption(prefixOption(command)));
}

async function up(
  context: CommandContext,
  [files]: [readonly string[]],
  flags: UpFlags,
): Promise<ExitCode | undefined> {
  const { deps, output } = context;
  if (flags.detach || flags.wait) deps.interrupts.ignoreOutput();
  const options: BringUpOptions = {
    build: flags.build ?? false,
    dryRun: flags.dryRun ?? false,
    forceRecreate: flags.forceRecreate ?? false,
    scale: flags.scale ?? {},
    discard: flags.discard ?? false,
  };
  if (flags.watch) return watched(context, files, flags, options);
  const prepare = (): Promise<PreparedUp> => prepareUp(context, files, options);
  if (flags.dryRun) {
    const { plan, driver, access, refusal } = await prepare();
    if (output.json) output.printJson({ driver: driver.name, ...planDocument(plan) });
    else output.print(fitLines(output.retyped(renderPlanText(plan)), output.stdout));
    access.close();
    if (refusal !== undefined) throw refusal;
    return ExitCode.ok;
  }
  return carryOutOrJoin(context, prepare, (prepared) =>
    flags.detach || flags.wait ? detached(context, prepared, flags) : attached(context, prepared, flags),
  );
}

async function attached(context: CommandContext, prepared: PreparedUp, flags: UpFlags): Promise<ExitCode> {
  const ending = await attach(context, prepared, {
    ephemeral: false,
    timestamps: flags.timestamps ?? false,
    prefix: hasPrefix(flags),
  });
  if (ending.error !== undefined) throw ending.error;
  sayCompleted(context.output, prepared.pipeline.name);
  return ExitCode.ok;
}

/** What is read once is read: started again, sources go on where they were. */
function sayCompleted(output: Output, pipeline: string): void {
  output.say(
    `${pipeline} completed\n  Run it again from the beginning: \`flowctl down -v\`, which removes stored positions and volumes too, then \`flowctl up\``,
  );
}

async function watched(
  context: CommandContext,
  given: readonly string[],
  flags: UpFlags,
  up: BringUpOptions,
): Promise<ExitCode> {
  const { deps, settings, output } = context;
  const named = given.length > 0 ? given : settings.files;
  if (flags.detach || flags.wait || flags.dryRun || output.json || named.includes("-")) {
    throw new FlowctlError({
      code: "cli/usage",
      kind: "usage",
      message: "--watch stays attached, and needs files that can be read again",
      fix: "Leave out --detach, --wait, --dry-run, --json and the file `-`",
    });
  }
  const since = deps.clock.now();
  const isFound = named.length === 0;
  const files = isFound ? await findPipelineFiles(deps.cwd) : named;
  let looked: readonly string[] = [];
  const onLook = (paths: readonly string[]): void => {
    looked = paths;
  };
  const prepared = await prepareUp(context, files, { ...up, onLook });
  const { Watching } = await import("../up/stay-watching.ts");
  const ending = await attach(context, prepared, {
    ephemeral: false,
    timestamps: flags.timestamps ?? false,
    prefix: hasPrefix(flags),
    watching: new Watching(context, { files, isFound, up, looked, since }),
  });
  throw ending.error;
}

async function detached(context: CommandContext, prepared: PreparedUp, flags: UpFlags): Promise<ExitCode> {
  const { output } = context;
  const { pipeline, driver, plan, access } = prepared;
  try {
    const state = await begin(context, prepared, flags);
    if (output.json) output.printJson({ driver: driver.name, state, ...planDocument(plan) });
    else if (state === "completed") sayCompleted(output, pipeline.name);
    else if (state !== "unchanged") {
      const said = state === "healthy" ? "is healthy" : state;
      const isFirst = await sayBanner(context, prepared, { state: said, attached: false });
      if (!isFirst) output.say(`${pipeline.name} ${said}`);
    }
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof FlowctlError && error.kind === "cancelled" && prepared.done.changed) {
      output.say(
        `The change is incomplete: \`flowctl up -d\` continues it, \`flowctl down -p ${pipeline.name}\` ends it`,
      );
    }
    throw error;
  } finally {
    access.close();
  }
}

async function begin(
  context: CommandContext,
  prepared: PreparedUp,
  { wait = false, rollback = true, waitTimeout, timeout = waitTimeout }: UpFlags,
): Promise<string> {
  if (!wait) {
    await startPrepared(context, prepared);
    return isEmpty(prepared.plan) ? "unchanged" : "started";
  }
  try {
    return await startUntilHealthy(context, prepared, timeout);
  } catch (error) {
    throw rollback ? await rollBack(context, prepared, error, timeout) : error;
  }
}
