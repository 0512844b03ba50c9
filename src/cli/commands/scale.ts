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
    summary: "Change how many instances of components run",
    description:
      "Starts or gracefully stops instances; the others go on as they are. Everything but the numbers is as the pipeline runs, whatever the file, the flags and the environment say by now: the log level, the env file and the profiles of the last `up`, too. The next `up` goes back to the numbers of the file unless it gets --scale, too.",
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
