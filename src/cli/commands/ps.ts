import type { Command } from "commander";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import type { Output } from "../display/output.ts";
import { humanCount, humanDuration } from "../display/quantities.ts";
import { type Column, renderTable } from "../display/table.ts";
import { allPipelines, asFarAsSeen, type ExistingPipeline } from "../existing-pipelines.ts";
import { ExitCode } from "../exit-codes.ts";
import { type InstanceView, viewInstances } from "../instances.ts";
import type { Flags } from "../settings.ts";
import { findTarget, NothingThere, unlessNothing } from "../target.ts";

interface PsFlags extends Flags {
  readonly all?: boolean;
  readonly services?: boolean;
}

export function psCommand(cli: Cli): Command {
  const command = describe({
    usage: "ps [pipeline]",
    summary: "List the instances of a pipeline, running or not",
    withAccess: "looks",
    examples: [
      ["flowctl ps", "the pipeline of this folder, or the only one there is"],
      ["flowctl ps -a", "all pipelines on this host, on every driver"],
      ["flowctl ps quakes --json", "for machines"],
    ],
    exitCodes: [
      ExitCode.ok,
      ExitCode.usage,
      ExitCode.invalid,
      ExitCode.notFound,
      ExitCode.unavailable,
      ExitCode.conflict,
    ],
  });
  pipelineOptions(command)
    .option("-a, --all", "all pipelines on this host")
    .option("-q, --quiet", "print only container ids, or process ids")
    .option("--services", "print only the ids of components and services");
  jsonOption(command);
  return handle<[string | undefined], PsFlags>(cli, command, ps);
}

async function ps(context: CommandContext, [argument]: [string | undefined], flags: PsFlags): Promise<ExitCode> {
  const { deps, output, signal } = context;
  const wanted = flags.all ? await allPipelines(context) : await thePipeline(context, argument);
  if (wanted instanceof NothingThere) {
    output.warn(wanted.message, wanted.fix);
    if (output.json) output.printJson([]);
    return ExitCode.ok;
  }
  const found = await Promise.all(wanted.map(({ pipeline, driver }) => viewInstances(deps, driver, pipeline, signal)));
  const instances = found.flatMap((pipeline) => pipeline.instances);
  if (output.json) output.printJson(instances);
  else if (flags.services) printLines(output, new Set(instances.filter(isOwn).map(({ component }) => component)));
  else if (flags.quiet)
    printLines(
      output,
      instances.map(({ ref }) => ref),
    );
  else if (instances.length === 0) output.say(`Nothing runs${flags.all ? await asFarAsSeen(context) : ""}`);
  else output.print(renderTable(columns(output, flags.all ?? false), instances, output));
  for (const { hanging } of found) if (hanging !== undefined) output.warn(hanging.message, hanging.fix);
  return ExitCode.ok;
}

async function thePipeline(
  context: CommandContext,
  argument: string | undefined,
): Promise<readonly ExistingPipeline[] | NothingThere> {
  const target = await findTarget(context, argument).catch(unlessNothing);
  return target instanceof NothingThere ? target : [{ pipeline: target.name, driver: target.driver }];
}

/** The control plane is not one of those that the file names. */
function isOwn({ instance }: InstanceView): boolean {
  return instance !== "control-plane";
}

function printLines(output: Output, lines: Iterable<string>): void {
  for (const line of lines) output.print(line);
}

function columns(output: Output, all: boolean): readonly Column<InstanceView>[] {
  const number = (value: number | undefined): string => (value === undefined ? "-" : humanCount(value));
  const where: readonly Column<InstanceView>[] = [
    { title: "PIPELINE", value: ({ pipeline }) => pipeline },
    { title: "DRIVER", rank: 6, value: ({ driver }) => driver },
  ];
  return [
    ...(all ? where : []),
    { title: "INSTANCE", value: ({ instance }) => instance },
    { title: "TYPE", rank: 7, value: ({ type }) => type },
    { title: "STATE", value: ({ state }) => paintState(state, output) },
    { title: "RESTARTS", align: "right", rank: 2, value: ({ restarts }) => number(restarts) },
    {
      title: "IN",
      align: "right",
      value: ({ metrics, type }) => number(type === "source" ? undefined : metrics?.eventsIn),
    },
    {
      title: "OUT",
      align: "right",
      value: ({ metrics, type }) => number(type === "sink" ? undefined : metrics?.eventsOut),
    },
    { title: "DROPPED", align: "right", rank: 4, value: ({ metrics }) => number(metrics?.eventsDropped) },
    {
      title: "UPTIME",
      align: "right",
      rank: 1,
      value: ({ uptimeMs }) => (uptimeMs === undefined ? "-" : humanDuration(uptimeMs)),
    },
    { title: "PORTS", rank: 9, value: ({ ports }) => ports.join(", ") },
  ];
}

/** A state in the colour of how good it is. */
export function paintState(state: string, output: Output): string {
  const { paint } = output;
  if (/^(healthy|running|completed)$/.test(state)) return paint.green(state);
  if (/^(starting|created|stopping|restarting|degraded|paused|waiting)$/.test(state)) return paint.yellow(state);
  if (state === "stopped") return paint.dim(state);
  return paint.red(state);
}
