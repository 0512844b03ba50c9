import { type Command, Option } from "commander";
import { type Cli, describe, handle, jsonOption, pipelineOptions, quietOption, timeoutOption } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";
import { AWAITABLE_STATES, type AwaitableState, waitForState } from "../up/wait-for-state.ts";

interface WaitFlags extends Flags {
  readonly state?: AwaitableState;
  readonly timeout?: number;
}

export function waitCommand(cli: Cli): Command {
  const command = describe({
    usage: "wait [pipeline]",
    summary: "Wait until a pipeline has completed or is healthy",
    description: "Exits with 1 if the pipeline fails, after the last log lines of what failed.",
    withAccess: "looks",
    examples: [
      ["flowctl wait", "until it has completed"],
      ["flowctl wait quakes --state healthy --timeout 60", "until everything is healthy, for at most a minute"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.failed, ExitCode.notFound, ExitCode.conflict, ExitCode.timeout],
  });
  pipelineOptions(command).addOption(
    new Option("--state <state>", "state to wait for (default: completed)").choices([...AWAITABLE_STATES]),
  );
  timeoutOption(command, "give up after this long");
  jsonOption(quietOption(command));
  return handle<[string | undefined], WaitFlags>(cli, command, async (context, [argument], flags) => {
    const { name, driver } = await findTarget(context, argument);
    const access = new ControlPlaneAccess(context.deps, driver, name);
    try {
      const target = { access, driver, pipeline: name };
      const state = await waitForState(context, target, flags.state ?? "completed", { timeoutMs: flags.timeout });
      if (context.output.json) context.output.printJson({ pipeline: name, state });
      else context.output.say(`${name} is ${state}`);
      return ExitCode.ok;
    } finally {
      access.close();
    }
  });
}
