import type { Command } from "commander";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  jsonOption,
  pipelineOptions,
  progressOption,
  quietOption,
} from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { batchesOf } from "../dead-letters/choose-letters.ts";
import { type LetterSelection, letterSinks, storedLetters } from "../dead-letters/letter-files.ts";
import { letterDocument, letterText, summaryOf } from "../dead-letters/render-letter.ts";
import { type Replayed, replay } from "../dead-letters/replay.ts";
import { renderTable } from "../display/table.ts";
import { ExitCode } from "../exit-codes.ts";
import { loadValid } from "../load.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";
import { announceReplay } from "../up/announcements.ts";
import { refuseUnknown } from "../up/bring-up.ts";

interface SelectionFlags extends Flags {
  readonly component?: string;
  readonly sink?: string;
}

interface ReplayFlags extends SelectionFlags {
  readonly all?: boolean;
  readonly again?: boolean;
  readonly dryRun?: boolean;
}

export function deadLettersCommand(cli: Cli): Command {
  const command = describe({
    usage: "dead-letters",
    summary: "List, show and replay dead letters",
    description:
      "A component with `on_error: { action: dead_letter, to: … }` sends events that it cannot process to a sink. These commands work on sinks with `uses: file`, and need the pipeline file.",
    examples: [
      ["flowctl dead-letters list", "what failed, where and why"],
      ["flowctl dead-letters show order-17", "one event with its payload"],
      ["flowctl dead-letters replay --all", "send them again, after the component is fixed"],
    ],
  });
  command.addCommand(list(cli)).addCommand(show(cli)).addCommand(replayCommand(cli));
  return command;
}

function selectionOptions(command: Command): Command {
  return pipelineOptions(command)
    .option("--component <id>", "only dead letters of this component")
    .option("--sink <id>", "only dead letters in this sink");
}

function list(cli: Cli): Command {
  const command = describe({
    usage: "list",
    summary: "List dead letters, oldest first",
    description: "Reads the files of the sinks; the pipeline does not have to run.",
    examples: [
      ["flowctl dead-letters list", "all of the pipeline of this folder"],
      ["flowctl dead-letters list --component enrich --json", "those of one component, for machines"],
    ],
    withAccess: "driver",
    exitCodes: [ExitCode.ok, ExitCode.invalid, ExitCode.notFound],
  });
  jsonOption(selectionOptions(command));
  return handle<[], SelectionFlags>(cli, command, async (context, _args, flags) => {
    const { output, signal } = context;
    const pipeline = await loadValid(context);
    const sinks = letterSinks(pipeline, flags);
    const letters = [];
    for await (const stored of storedLetters(sinks, flags, signal)) letters.push(summaryOf(stored));
    if (letters.length === 0) refuseUnknownComponent(pipeline, flags);
    if (output.json) output.printJson(letters);
    else if (letters.length === 0) output.say("No dead letters");
    else {
      output.print(
        renderTable(
          [
            { title: "ID", value: ({ id }) => id },
            { title: "TYPE", rank: 3, value: ({ type }) => type },
            { title: "COMPONENT", value: ({ component }) => component },
            { title: "ATTEMPTS", align: "right", rank: 4, value: ({ attempts }) => String(attempts) },
            { title: "TIME", rank: 2, value: ({ time }) => time },
            { title: "REPLAYED", rank: 1, value: ({ replayedAt }) => replayedAt ?? "no" },
            { title: "REASON", narrow: "cut", value: ({ reason }) => shortened(reason) },
          ],
          letters,
          output,
        ),
      );
    }
    return ExitCode.ok;
  });
}

/** One that the file no longer has may have left dead letters; one that has left none was perhaps typed wrongly. */
function refuseUnknownComponent(pipeline: Pipeline, { component }: SelectionFlags): void {
  if (component !== undefined) refuseUnknown(pipeline, [component]);
}

const longestReason = 80;

function shortened(reason: string): string {
  const line = reason.replaceAll(/\s+/g, " ");
  return line.length <= longestReason ? line : `${line.slice(0, longestReason - 1)}…`;
}

function show(cli: Cli): Command {
  const command = describe({
    usage: "show <id>",
    summary: "Show the details of a dead letter",
    examples: [["flowctl dead-letters show order-17", "why it failed, and what was in it"]],
    withAccess: "driver",
    exitCodes: [ExitCode.ok, ExitCode.invalid, ExitCode.notFound],
  });
  jsonOption(selectionOptions(command));
  return handle<[string], SelectionFlags>(cli, command, async (context, [id], flags) => {
    const { output, signal } = context;
    const sinks = letterSinks(await loadValid(context), flags);
    const found = [];
    for await (const stored of storedLetters(sinks, flags, signal)) {
      if (stored.letter.event.id === id) found.push(stored);
    }
    if (found.length === 0) throw noSuchLetter([id]);
    if (output.json) output.printJson(found.map(letterDocument));
    else output.print(found.map((stored) => letterText(stored, output)).join("\n\n"));
    return ExitCode.ok;
  });
}

function replayCommand(cli: Cli): Command {
  const command = describe({
    usage: "replay [ids...]",
    summary: "Replay dead letters to the component that failed to process them",
    description:
      "Sends the events unchanged, with their ids, to the running component. Fix the component first: edit the file, `flowctl up`, replay. The pipeline keeps running. An event is marked as replayed when everything below the component has acknowledged it; one that fails again is a dead letter again, and the command exits with 1.",
    withAccess: "changes",
    examples: [
      ["flowctl dead-letters replay --all", "all that have not been replayed yet"],
      ["flowctl dead-letters replay order-17 order-18", "these two"],
      ["flowctl dead-letters replay --all --component enrich --dry-run", "show which, without sending"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.notFound, ExitCode.conflict],
  });
  selectionOptions(command)
    .option("--all", "all that have not been replayed yet")
    .option("--again", "include dead letters that have already been replayed")
    .option("--dry-run", "show what would be sent, and where");
  jsonOption(quietOption(progressOption(command)));
  return handle<[readonly string[]], ReplayFlags>(cli, command, replayLetters);
}

/** So many ids are shown of what would be sent to one component. */
const SHOWN = 20;

async function replayLetters(
  context: CommandContext,
  [ids]: [readonly string[]],
  flags: ReplayFlags,
): Promise<ExitCode> {
  const { deps } = context;
  if (ids.length > 0 === (flags.all ?? false)) {
    throw new FlowctlError({
      code: "cli/which-letters",
      kind: "usage",
      message: ids.length > 0 ? "Specify either ids or --all, not both" : "Specify which events to replay",
      fix: "Pass their ids or --all; `flowctl dead-letters list` shows them",
    });
  }
  if (!flags.dryRun) deps.interrupts.ignoreOutput();
  const target = flags.dryRun
    ? undefined
    : await findTarget(context, undefined, { changes: "dead-letters replay", needsFile: true });
  const pipeline = target?.file ?? (await loadValid(context));
  const held = target === undefined ? undefined : await announceReplay(context, target.name);
  try {
    return await replayChosen(context, { ids, flags, target, pipeline });
  } finally {
    await held?.release();
  }
}

async function replayChosen(context: CommandContext, { ids, flags, target, pipeline }: Chosen): Promise<ExitCode> {
  const { deps, output, signal } = context;
  const sinks = letterSinks(pipeline, flags);
  const { batches, missing, replayedBefore } = await batchesOf(storedLetters(sinks, flags, signal), {
    ids: flags.all ? undefined : ids,
    again: flags.again ?? false,
  });
  if (missing.length > 0) throw noSuchLetter(missing);
  if (replayedBefore.length > 0) throw alreadyReplayed(replayedBefore);
  if (batches.length === 0) {
    refuseUnknownComponent(pipeline, flags);
    output.say("No dead letters to replay");
  }
  if (target === undefined) {
    const planned = batches.map(({ component, sink, ids: events }) => ({ component, sink: sink.id, events }));
    if (output.json) output.printJson(planned);
    for (const { component, events } of output.json ? [] : planned) {
      const more = events.length - SHOWN;
      output.print(`${events.length} to ${component}`);
      for (const id of events.slice(0, SHOWN)) output.print(`  ${id}`);
      if (more > 0) output.print(`  and ${more} more; --json lists all`);
    }
    return ExitCode.ok;
  }
  const access = new ControlPlaneAccess(deps, target.driver, target.name);
  const progress = await context.progress();
  const done: (Replayed & { failedAgain: number })[] = [];
  try {
    for (const batch of batches) {
      const one = await replay({ context, access, progress }, batch);
      done.push({ ...one, failedAgain: await countFrom(one.source, sinks, signal) });
    }
  } finally {
    progress.stop();
    access.close();
  }
  if (output.json) output.printJson(done);
  for (const { component, replayed, failedAgain } of output.json ? [] : done) {
    const again = failedAgain === 0 ? "" : `, ${failedAgain} of them failed again`;
    output.print(`${replayed} ${replayed === 1 ? "event" : "events"} replayed to ${component}${again}`);
  }
  return done.some(({ failedAgain }) => failedAgain > 0) ? ExitCode.failed : ExitCode.ok;
}

interface Chosen {
  readonly ids: readonly string[];
  readonly flags: ReplayFlags;
  /** The pipeline that runs; undefined where nothing is to be sent. */
  readonly target: Awaited<ReturnType<typeof findTarget>> | undefined;
  readonly pipeline: Pipeline;
}

/** Dead letters that a replay made. */
async function countFrom(source: string, sinks: ReturnType<typeof letterSinks>, signal: AbortSignal): Promise<number> {
  const everything: LetterSelection = {};
  let count = 0;
  for await (const { letter } of storedLetters(sinks, everything, signal)) if (letter.upstream === source) count++;
  return count;
}

function noSuchLetter(ids: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "cli/no-such-letter",
    kind: "not-found",
    message: `No matching dead letter: ${ids.map((id) => JSON.stringify(id)).join(", ")}`,
    fix: "`flowctl dead-letters list` shows them",
  });
}

function alreadyReplayed(ids: readonly string[]): FlowctlError {
  return new FlowctlError({
    code: "cli/already-replayed",
    kind: "conflict",
    message: `Already replayed: ${ids.map((id) => JSON.stringify(id)).join(", ")}`,
    fix: "Use --again to replay them once more, or leave them out",
  });
}
