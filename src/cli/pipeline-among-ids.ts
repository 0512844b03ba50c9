import type { Command } from "commander";
import { FlowctlError } from "../foundation/errors.ts";
import type { CommandContext } from "./command.ts";
import { allPipelines } from "./existing-pipelines.ts";

/** What a command ends with whose ids belong to another pipeline than it took, or to none. */
const NOT_FOUND: ReadonlySet<string> = new Set(["planner/unknown-id", "cli/which-pipeline", "cli/no-pipeline"]);

/**
 * Runs a command whose arguments are ids of components. Where one of them turns out to be the name of a pipeline, as other
 * commands take it, the error says how that is given.
 */
export async function withIds<Result>(
  context: CommandContext,
  command: Command,
  ids: readonly string[],
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof FlowctlError) || !NOT_FOUND.has(error.code)) throw error;
    const name = await pipelineAmong(context, ids);
    if (name === undefined) throw error;
    const { code, kind, message, cause } = error;
    const instead = `flowctl ${command.name()} -p ${[name, ...idsBeside(name, ids, command)].join(" ")}`;
    throw new FlowctlError({ code, kind, message, fix: `Type \`${instead}\`: ${name} is a pipeline`, cause });
  }
}

/** The other ids; a placeholder where the command cannot be without. */
function idsBeside(name: string, ids: readonly string[], command: Command): readonly string[] {
  const others = ids.filter((id) => id !== name);
  const isNeeded = command.registeredArguments.some(({ required }) => required);
  return others.length === 0 && isNeeded ? ["<id>"] : others;
}

async function pipelineAmong(context: CommandContext, ids: readonly string[]): Promise<string | undefined> {
  const pipelines = await allPipelines(context).catch(() => []);
  return ids.find((id) => pipelines.some(({ pipeline }) => pipeline === id));
}
