import { type Command, InvalidArgumentError, Option } from "commander";
import type { Driver } from "../../drivers/driver.ts";
import { LOG_LEVELS } from "../choices.ts";
import {
  type Cli,
  type CommandContext,
  describe,
  handle,
  hasPrefix,
  jsonOption,
  type PrefixFlags,
  pipelineOptions,
  prefixOption,
} from "../command.ts";
import { isAway } from "../control-plane-access.ts";
import { LogPrinter } from "../display/log-printer.ts";
import { parseSpan } from "../display/quantities.ts";
import { ExitCode } from "../exit-codes.ts";
import { checkLogSelection } from "../log-selection.ts";
import { withIds } from "../pipeline-among-ids.ts";
import type { Flags } from "../settings.ts";
import { findTarget } from "../target.ts";
import { LogFollower } from "../up/follow-logs.ts";

interface LogsFlags extends Flags, PrefixFlags {
  readonly follow?: boolean;
  readonly tail?: number | undefined;
  readonly since?: SinceFlag;
  readonly timestamps?: boolean;
  readonly level?: "debug" | "info" | "warn" | "error";
}

/** Milliseconds before now, or a moment in Unix milliseconds. */
type SinceFlag = { readonly ago: number } | { readonly at: number };

export function logsCommand(cli: Cli): Command {
  const command = describe({
    usage: "logs [ids...]",
    summary: "Show the logs of components and services",
    description:
      "Without ids, shows all components and services. An id names a component, a service, one instance such as enrich-2, or control-plane.",
    withAccess: "driver",
    examples: [
      ["flowctl logs -f", "follow all logs"],
      ["flowctl logs enrich --tail 20", "the last 20 lines of each instance of enrich"],
      ["flowctl logs --since 5m --level warn", "recent warnings and errors"],
    ],
    takes: "ids-and-control-plane",
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.notFound, ExitCode.unavailable],
  });
  pipelineOptions(command, false)
    .option("-f, --follow", "follow the logs until the pipeline is removed")
    .addOption(
      new Option("-n, --tail <lines>", "number of lines to show from the end, per instance, or all").argParser(
        parseTail,
      ),
    )
    .addOption(
      new Option("--since <when>", "a timestamp (2026-01-31T12:00:00Z) or a duration before now (5m)").argParser(
        parseSince,
      ),
    )
    .addOption(new Option("--level <level>", "hide lines below this level").choices([...LOG_LEVELS]))
    .option("-t, --timestamps", "show timestamps");
  jsonOption(prefixOption(command));
  return handle<[readonly string[]], LogsFlags>(cli, command, (context, [ids], flags) =>
    withIds(context, command, ids, () => logs(context, ids, flags)),
  );
}

async function logs(context: CommandContext, ids: readonly string[], flags: LogsFlags): Promise<ExitCode> {
  const { deps, output, signal } = context;
  const { name, driver } = await findTarget(context);
  const observed = await driver.observe(name, signal);
  checkLogSelection(observed, ids);
  const printer = new LogPrinter(output, {
    timestamps: flags.timestamps ?? false,
    prefix: hasPrefix(flags),
    ...(flags.level === undefined ? {} : { level: flags.level }),
    names: observed
      .filter(
        ({ kind, owner }) => (kind === "component" || kind === "service") && (ids.length === 0 || ids.includes(owner)),
      )
      .map(({ owner, index }) => `${owner}-${index}`),
  });
  const since =
    flags.since === undefined ? undefined : "at" in flags.since ? flags.since.at : deps.clock.now() - flags.since.ago;
  const options = {
    select: ids,
    ...(flags.tail === undefined ? {} : { tail: flags.tail }),
    ...(since === undefined ? {} : { since }),
  };
  if (flags.follow !== true) {
    for await (const line of driver.logs(name, { ...options, follow: false }, signal)) printer.print(line);
    return ExitCode.ok;
  }
  const follower = new LogFollower({
    driver,
    pipeline: name,
    ...options,
    clock: deps.clock,
    print: (line) => printer.print(line),
    onBreak: (error) => output.warn(`the log stream broke; resuming: ${error.message}`),
  });
  follower.start();
  await untilGone(context, driver, name);
  await follower.stop();
  return ExitCode.ok;
}

/** Between two looks whether there is still something that can log, in milliseconds. */
const LOOK_INTERVAL = 2_000;

/** Resolves at the interrupt, or when nothing of the pipeline exists any more. */
async function untilGone({ deps, signal }: CommandContext, driver: Driver, name: string): Promise<void> {
  while (!signal.aborted) {
    await deps.clock.sleep(LOOK_INTERVAL, signal).catch(() => undefined);
    try {
      if (!(await driver.pipelines(signal)).includes(name)) return;
    } catch (error) {
      // An engine that is away may come back, and what it runs with it.
      if (!signal.aborted && !isAway(error)) throw error;
    }
  }
}

function parseTail(text: string): number | undefined {
  if (text === "all") return undefined;
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("Give a number of lines, or all.");
  return Number(text);
}

function parseSince(text: string): SinceFlag {
  const ago = /^\d+$/.test(text) ? undefined : parseSpan(text);
  if (ago !== undefined) return { ago };
  const at = Date.parse(text);
  if (Number.isNaN(at))
    throw new InvalidArgumentError("Give a moment such as 2026-01-31T12:00:00Z, or a span such as 5m.");
  return { at };
}
