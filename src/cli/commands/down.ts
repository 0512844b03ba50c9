import type { Command } from "commander";
import { planDocument } from "../../planner/render-plan.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  jsonOption,
  orphansOption,
  pipelineOptions,
  progressOption,
  quietOption,
  stopTimeoutOption,
} from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { findTarget, NothingThere, unlessNothing } from "../target.ts";
import { announceDown, untilNoUpBegins } from "../up/announcements.ts";
import { depthsOf, windDown } from "../up/wind-down.ts";

interface DownFlags extends Flags {
  readonly volumes?: boolean;
  readonly timeout?: number;
}

export function downCommand(cli: Cli): Command {
  const command = describe({
    usage: "down [pipeline]",
    summary: "Stop a pipeline and remove everything it created",
    description:
      "Stops components from the sources down, each within its stop_grace_period, so that events in flight are processed first. Works in any state of the pipeline and without its file; exits with 0 if there is nothing to remove. Volumes and stored state are kept unless -v is given.",
    withAccess: "changes",
    examples: [
      ["flowctl down", "the pipeline of this folder"],
      ["flowctl down quakes -v", "by name, with volumes and state"],
      ["flowctl down --timeout 0", "at once"],
    ],
    exitCodes: [
      ExitCode.ok,
      ExitCode.usage,
      ExitCode.invalid,
      ExitCode.notFound,
      ExitCode.unavailable,
      ExitCode.conflict,
      ExitCode.interrupted,
    ],
  });
  command.option("-v, --volumes", "also remove volumes and stored state");
  orphansOption(command);
  stopTimeoutOption(command);
  jsonOption(quietOption(progressOption(pipelineOptions(command))));
  return handle<[string | undefined], DownFlags>(cli, command, down);
}

async function down(context: CommandContext, [argument]: [string | undefined], flags: DownFlags): Promise<ExitCode> {
  const { deps, output, signal } = context;
  deps.interrupts.ignoreOutput();
  const target = await findTarget(context, argument, { changes: "down" }).catch(unlessNothing);
  if (target instanceof NothingThere) {
    output.warn(target.message, target.fix);
    if (output.json)
      output.printJson({ driver: null, pipeline: null, changes: [], live: [], unchanged: [], notes: [] });
    return ExitCode.ok;
  }
  const { name, driver, file } = target;
  const going = await announceDown(context, name);
  try {
    await untilNoUpBegins(context, name);
  } catch (error) {
    await going?.release();
    throw error;
  }
  const access = new ControlPlaneAccess(deps, driver, name);
  const record = await access.record(signal);
  if (access.hanging !== undefined) output.warn(`${access.hanging.message}; all of it is ended now`);
  const progress = await context.progress();
  const release = deps.interrupts.answerSecond();
  try {
    const { plan } = await windDown({
      driver,
      pipeline: name,
      command: "flowctl down",
      depths: depthsOf(file, record),
      mode: "remove",
      volumes: flags.volumes ?? false,
      select: [],
      deps,
      hanging: access.hanging !== undefined,
      progress: progress.sink,
      hurry: deps.interrupts.first,
      timeoutMs: flags.timeout,
      onHurry: () => undefined,
    });
    progress.stop();
    if (output.json) output.printJson({ driver: driver.name, ...planDocument(plan) });
    else output.say(`${name} is down`);
    return ExitCode.ok;
  } finally {
    await going?.release();
    release();
    access.close();
    progress.stop();
  }
}
