import type { Command } from "commander";
import type { ObservedResource } from "../../drivers/driver.ts";
import { type Cli, type CommandContext, DescribedCommand, describe, handle } from "../command.ts";
import { IDS_COMMAND } from "../completion.ts";
import { ExitCode } from "../exit-codes.ts";
import { type Flags, readSettings } from "../settings.ts";
import { findTarget } from "../target.ts";

/** Not for people: completion scripts ask it what the command that is being typed can be about. */
export function idsCommand(cli: Cli): Command {
  const command = describe({
    usage: `${IDS_COMMAND} [words...]`,
    summary: "Print the ids that the command which is being typed takes, one a line",
    examples: [[`flowctl ${IDS_COMMAND} -- logs -p quakes`, "what can follow `flowctl logs -p quakes`"]],
  });
  return handle<[readonly string[]], Flags>(cli, command, async (context, [[name, ...typed]]) => {
    const asked = command.parent?.commands.find((other) => other.name() === name);
    const takes = asked instanceof DescribedCommand ? asked.text.takes : undefined;
    if (asked === undefined || takes === undefined) return ExitCode.usage;
    asked.parseOptions(typed);
    for (const id of await idsOf(context, asked.opts<Flags>())) {
      if (takes === "ids-and-control-plane" || id !== "control-plane") context.output.print(id);
    }
    return ExitCode.ok;
  });
}

/** Ids of what exists of the pipeline that the flags mean; those of instances where a component has several. */
async function idsOf(context: CommandContext, flags: Flags): Promise<ReadonlySet<string>> {
  const settings = await readSettings(flags, context.deps.env);
  const { name, driver } = await findTarget({ ...context, settings });
  const observed = await driver.observe(name, context.signal);
  const owners = observed.filter(({ kind }) => kind === "component" || kind === "service" || kind === "control-plane");
  const isOneOfSeveral = ({ owner, ref }: ObservedResource): boolean =>
    owners.some((other) => other.owner === owner && other.ref !== ref);
  return new Set([
    ...owners.map(({ owner, kind }) => (kind === "control-plane" ? kind : owner)),
    ...owners.filter(isOneOfSeveral).map(({ owner, index }) => `${owner}-${index}`),
  ]);
}
