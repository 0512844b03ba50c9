import type { Command } from "commander";
import type { ObservedResource } from "../../drivers/driver.ts";
import { type Cli, type CommandContext, DescribedCommand, describe, handle, PipelineNameOption } from "../command.ts";
import { flagsOf, IDS_COMMAND } from "../completion.ts";
import { allPipelines } from "../existing-pipelines.ts";
import { ExitCode } from "../exit-codes.ts";
import { type Flags, readSettings } from "../settings.ts";
import { findTarget } from "../target.ts";

/** Not for people: completion scripts ask it what the command that is being typed can be about. */
export function idsCommand(cli: Cli): Command {
  const command = describe({
    usage: `${IDS_COMMAND} [words...]`,
    summary: "Print what can follow the words of a command that is being typed, one a line: ids, or names of pipelines",
    withAccess: "looks",
    examples: [
      [`flowctl ${IDS_COMMAND} -- logs -p quakes`, "ids that can follow `flowctl logs -p quakes`"],
      [`flowctl ${IDS_COMMAND} -- logs -p`, "names that can follow `flowctl logs -p`"],
    ],
  });
  return handle<[readonly string[]], Flags>(cli, command, async (context, [words]) => {
    const { asked, typed } = commandOf(command, words);
    const offers = isPipelineName(asked, typed.at(-1))
      ? await pipelineNames(context, asked, typed.slice(0, -1))
      : await argumentsOf(context, asked, typed);
    for (const offer of offers ?? []) if (isName(offer)) context.output.print(offer);
    return offers === undefined ? ExitCode.usage : ExitCode.ok;
  });
}

/**
 * Whether a text can be the name of a pipeline, or the id of a part of one, of ours. Those that are observed come from labels, which
 * anybody can set: what is not a name is offered to no shell.
 */
function isName(text: string): boolean {
  return /^[a-z0-9][a-z0-9_-]*=?$/.test(text);
}

/** The command that words begin with, and the words after its name. */
function commandOf(sibling: Command, words: readonly string[]): { asked: Command; typed: readonly string[] } {
  let asked = sibling.parent ?? sibling;
  let depth = 0;
  for (; depth < words.length; depth++) {
    const next = asked.commands.find((command) => command.name() === words[depth]);
    if (next === undefined) break;
    asked = next;
  }
  return { asked, typed: words.slice(depth) };
}

/** Whether what follows a word is the name of a pipeline. */
function isPipelineName(asked: Command, word: string | undefined): boolean {
  return asked.options.some(
    (option) => option instanceof PipelineNameOption && word !== undefined && flagsOf(option).includes(word),
  );
}

async function pipelineNames(
  context: CommandContext,
  asked: Command,
  typed: readonly string[],
): Promise<ReadonlySet<string>> {
  asked.parseOptions([...typed]);
  const settings = await readSettings(asked.opts<Flags>(), context.deps.env);
  return new Set((await allPipelines({ ...context, settings })).map(({ pipeline }) => pipeline));
}

/** What a command can take after what was typed of it; undefined for one that takes nothing that runs. */
async function argumentsOf(
  context: CommandContext,
  asked: Command,
  typed: readonly string[],
): Promise<Iterable<string> | undefined> {
  const takes = asked instanceof DescribedCommand ? asked.text.takes : undefined;
  if (takes === undefined) return undefined;
  asked.parseOptions([...typed]);
  const settings = await readSettings(asked.opts<Flags>(), context.deps.env);
  const { name, driver } = await findTarget({ ...context, settings });
  const observed = await driver.observe(name, context.signal);
  switch (takes) {
    case "ids":
      return idsOf(observed.filter(({ kind }) => kind !== "control-plane"));
    case "ids-and-control-plane":
      return idsOf(observed);
    case "numbers-of-components":
      return new Set(observed.filter(({ kind }) => kind === "component").map(({ owner }) => `${owner}=`));
  }
}

/** Ids of components, services and the control plane; those of instances, too, where there are several. */
function idsOf(observed: readonly ObservedResource[]): ReadonlySet<string> {
  const owners = observed.filter(({ kind }) => kind === "component" || kind === "service" || kind === "control-plane");
  const isOneOfSeveral = ({ owner, ref }: ObservedResource): boolean =>
    owners.some((other) => other.owner === owner && other.ref !== ref);
  return new Set([
    ...owners.map(({ owner, kind }) => (kind === "control-plane" ? kind : owner)),
    ...owners.filter(isOneOfSeveral).map(({ owner, index }) => `${owner}-${index}`),
  ]);
}
