import type { Command } from "commander";
import { hasCode } from "../../foundation/errors.ts";
import type { PipelineEvent } from "../../protocol/records.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ControlPlaneAccess, isAway } from "../control-plane-access.ts";
import { fitLines } from "../display/fit-lines.ts";
import type { Output } from "../display/output.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";
import { whyAway } from "../why-away.ts";
import { paintState } from "./ps.ts";

interface EventsFlags extends Flags {
  readonly follow?: boolean;
}

export function eventsCommand(cli: Cli): Command {
  const command = describe({
    usage: "events [pipeline]",
    summary: "Show what happened to a pipeline and its components",
    description:
      "Shows registrations, state changes, exits and restarts recorded by the control plane; not the pipeline's data.",
    withAccess: "looks",
    examples: [
      ["flowctl events", "all recorded events"],
      ["flowctl events -f --json", "follow, one JSON object per line"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.notFound, ExitCode.unavailable],
  });
  pipelineOptions(command, false).option("-f, --follow", "follow new events until the pipeline is removed");
  jsonOption(command);
  return handle<[string | undefined], EventsFlags>(cli, command, events);
}

async function events(
  context: CommandContext,
  [argument]: [string | undefined],
  flags: EventsFlags,
): Promise<ExitCode> {
  const { deps, output, signal } = context;
  const { name, driver } = await findTarget(context, argument);
  const access = new ControlPlaneAccess(deps, driver, name);
  const follow = flags.follow ?? false;
  const print = eventPrinter(output);
  let after = 0;
  let isRefused = false;
  try {
    for (;;) {
      try {
        const client = await access.client(signal);
        for await (const event of client.watchEvents({ after, follow }, signal)) {
          after = event.sequence;
          isRefused = false;
          print(event);
        }
        if (!follow || signal.aborted) return ExitCode.ok;
      } catch (error) {
        if (signal.aborted && follow) return ExitCode.ok;
        // The owner's certificate was replaced since: the driver has the present one.
        const isReplaced: boolean = hasCode(error, "identity/revoked") && !isRefused;
        if (!follow || after === 0 || !(isAway(error) || isReplaced)) throw await whyAway(error, driver, name, signal);
        access.close();
        isRefused = isReplaced;
        if (isReplaced) continue;
      }
      // The control plane restarts, or is gone for good; in the latter case nothing exists to follow.
      const exists = (await driver.pipelines(signal)).includes(name);
      if (!exists) return ExitCode.ok;
      await deps.clock.sleep(500, signal).catch(() => undefined);
    }
  } finally {
    access.close();
  }
}

/** Each event as a line, or as JSON. On a terminal the date, which takes room, stands once above the events of its day. */
export function eventPrinter(output: Output): (event: PipelineEvent) => void {
  const { paint } = output;
  let day = "";
  return (event) => {
    if (output.json) {
      output.print(JSON.stringify(event));
      return;
    }
    const at = new Date(event.time).toISOString();
    const isShort = output.stdout.isTTY === true;
    const [date = "", time = ""] = at.split("T");
    if (isShort && date !== day) output.print(paint.dim(`${date} UTC`));
    day = date;
    const about = event.instanceId || event.componentId;
    const change =
      event.to === "" ? "" : `${event.from === "" ? "" : `${event.from} → `}${paintState(event.to, output)}`;
    const parts = [
      paint.dim(isShort ? time.slice(0, -1) : at),
      event.type,
      paint.bold(about),
      change,
      saysMore(event) ? event.message : "",
    ];
    output.print(fitLines(parts.filter((part) => part !== "").join("  "), output.stdout));
  };
}

/** `instance.started` need not be followed by `started`. */
function saysMore({ type, message }: PipelineEvent): boolean {
  return !type.endsWith(`.${message}`);
}
