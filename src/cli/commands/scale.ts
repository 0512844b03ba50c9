import { type Command, InvalidArgumentError } from "commander";
import { planDocument } from "../../planner/render-plan.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  jsonOption,
  pipelineOptions,
  progressOption,
  quietOption,
  scaleArgument,
} from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";
import { prepareScale } from "../up/scale-applied.ts";
import { startPrepared } from "../up/start-prepared.ts";

export function scaleCommand(cli: Cli): Command {
  const command = describe({
    usage: "scale",
    summary: "Change the number of instances of components",
    description:
      "Starts or gracefully stops instances; the others are not affected. Changes only the numbers: all other settings stay as the last `up` applied them, including log level, env file and profiles, even if the file or the environment has changed. The next `up` returns to the numbers in the file, unless it is given --scale.",
    withAccess: "changes",
    examples: [["flowctl scale enrich=3 publish=2", "three instances of enrich, two of publish"]],
    takes: "numbers-of-components",
    exitCodes: [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.invalid, ExitCode.notFound, ExitCode.conflict],
  });
  command.argument("<id=n...>", "components and their numbers of instances", parsePairs);
  jsonOption(quietOption(progressOption(pipelineOptions(command))));
  return handle<[Readonly<Record<string, number>>], Flags>(cli, command, scale);
}

function parsePairs(text: string, previous: Readonly<Record<string, number>> | undefined) {
  if (text === "") throw new InvalidArgumentError("Give a component and a number, such as enrich=3.");
  return scaleArgument(text, previous);
}

async function scale(context: CommandContext, [numbers]: [Readonly<Record<string, number>>]): Promise<ExitCode> {
  const { deps, output } = context;
  deps.interrupts.ignoreOutput();
  const prepared = await prepareScale(context, await findTarget(context, undefined, { changes: "scale" }), numbers);
  try {
    await startPrepared(context, prepared);
  } finally {
    prepared.access.close();
  }
  if (output.json) output.printJson({ driver: prepared.driver.name, ...planDocument(prepared.plan) });
  return ExitCode.ok;
}
