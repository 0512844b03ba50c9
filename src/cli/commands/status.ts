import type { Command } from "commander";
import { EXPIRES_SOON_MS } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { ComponentRecord, InstanceRecord, PipelineRecord } from "../../protocol/records.ts";
import { forHolder } from "../access/limits.ts";
import { averageRate } from "../average-rate.ts";
import { type Cli, type CommandContext, describe, handle, jsonOption, pipelineOptions } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import type { Output } from "../display/output.ts";
import { humanCount, humanDuration, humanRate } from "../display/quantities.ts";
import { errorDocument, renderError } from "../display/render-error.ts";
import { renderTable } from "../display/table.ts";
import { displayedState } from "../displayed-state.ts";
import { fullDiskOf } from "../doctor/disk-space.ts";
import type { Finding } from "../doctor/finding.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Flags } from "../settings.ts";
import { type SlowComponent, slowComponents } from "../slow-components.ts";
import { findTarget, type Target } from "../target.ts";
import { renderTrouble, type Trouble, troublesOf } from "../troubles.ts";
import { whyAway } from "../why-away.ts";
import { paintState } from "./ps.ts";

export function statusCommand(cli: Cli): Command {
  const command = describe({
    usage: "status [pipeline]",
    summary: "Show the state of a pipeline: topology, rates and bottlenecks",
    description:
      "Counts are totals since the pipeline was started, across restarts and including replaced instances, as of each component's last heartbeat. Rates are averages since the last registration. Missing or unhealthy instances are shown with the reason, restarts, last log line and a fix, and so are a full disk and, on Docker, an engine access that does not run.",
    withAccess: "looks",
    examples: [
      ["flowctl status", "the pipeline of this folder, or the only one there is"],
      ["flowctl status --watch", "refresh every 2 seconds"],
      ["flowctl status quakes --json", "the full record, for machines"],
    ],
    exitCodes: [ExitCode.ok, ExitCode.usage, ExitCode.notFound, ExitCode.unavailable],
  });
  jsonOption(pipelineOptions(command)).option("-w, --watch", "refresh every 2 seconds until Ctrl-C");
  return handle<[string | undefined], StatusFlags>(cli, command, async (context, [argument], flags) => {
    const target = await findTarget(context, argument);
    if (flags.watch) await watch(context, target);
    else {
      const { report, text } = await look(context, target);
      if (context.output.json) context.output.printJson(report);
      else context.output.print(text());
    }
    return ExitCode.ok;
  });
}

interface StatusFlags extends Flags {
  readonly watch?: boolean;
}

/** Between two looks, in milliseconds. */
const WATCH_INTERVAL = 2_000;

/** Back to the top left corner; what is written over is cleared line by line, so that nothing flickers. */
const TOP = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/**
 * Shows the state again and again until the signal fires. A look that fails is shown, too, and followed by another: where what is shown
 * stays, once, until something else is to be said.
 */
async function watch(context: CommandContext, target: Target): Promise<void> {
  const { deps, output, errorView, signal } = context;
  const redraws = output.stdout.isTTY === true && !output.json;
  if (redraws) output.stdout.write("\x1b[2J");
  let failure: string | undefined;
  while (!signal.aborted) {
    const before = failure;
    let text: string;
    try {
      const seen = await look(context, target);
      text = output.json ? JSON.stringify(seen.report) : seen.text();
      failure = undefined;
    } catch (thrown) {
      if (signal.aborted) return;
      const error = context.access === undefined ? thrown : forHolder(thrown, context.access);
      if (!(error instanceof FlowctlError)) throw error;
      text = output.json ? JSON.stringify(errorDocument(error, errorView)) : renderError(error, errorView);
      failure = text;
    }
    if (redraws) output.stdout.write(redrawn(text, output.stdout.rows));
    else if (failure === undefined || failure !== before) output.print(text);
    await deps.clock.sleep(WATCH_INTERVAL, signal).catch(() => undefined);
  }
}

/** The text over what was shown before, without the lines that the terminal has no room for: it would scroll. */
function redrawn(text: string, rows = Number.POSITIVE_INFINITY): string {
  const lines = text.split("\n").slice(0, Math.max(1, rows - 1));
  return `${TOP}${lines.map((line) => `${line}${CLEAR_LINE}\n`).join("")}${CLEAR_BELOW}`;
}

/** The state as data for machines and, when asked for, as lines for people. */
async function look(
  { deps, output, signal }: CommandContext,
  { name, driver }: Target,
): Promise<{ readonly report: unknown; text(): string }> {
  const access = new ControlPlaneAccess(deps, driver, name);
  try {
    const record = await access
      .call(signal, (client, inner) => client.getPipeline(inner))
      .catch(async (error: unknown) => {
        throw await whyAway(error, driver, name, signal);
      });
    const running = new Set(
      (await driver.observe(name, signal))
        .filter(({ kind, state }) => kind === "component" && state.status === "running")
        .map(({ owner }) => owner),
    );
    const retyped = <T extends { readonly fix: string }>(one: T): T => ({ ...one, fix: output.retyped(one.fix) });
    const found = {
      slow: slowComponents(record),
      troubles: (await troublesOf(record, driver, signal)).map(retyped),
      disk: await fullDiskOf(driver, signal),
    };
    const expires = (await driver.controlPlane(name, signal))?.authorityExpires;
    const authority = expires === undefined ? {} : { authorityExpires: expires };
    return {
      report: { ...record, state: displayedState(record, running), ...found, ...authority },
      text: () => render(record, { ...found, ...authority, running }, deps.clock.now(), output),
    };
  } finally {
    access.close();
  }
}

/** What is wrong besides what the record itself says. */
interface Found {
  readonly slow: readonly SlowComponent[];
  readonly troubles: readonly Trouble[];
  /** That the disk under the driver's folder is full, or nearly. */
  readonly disk: Finding | undefined;
  /** When the authority expires that signs the pipeline's, in milliseconds since 1970; absent where none does. */
  readonly authorityExpires?: number;
  /** Components of which anything runs. */
  readonly running: ReadonlySet<string>;
}

function render(record: PipelineRecord, found: Found, now: number, output: Output): string {
  const { slow, troubles, disk, running } = found;
  const { paint } = output;
  const until = record.finishedAt ?? now;
  const state = displayedState(record, running);
  const lines = [
    `${paint.bold(record.name)} ${paintState(state, output)}${record.reason === "" ? "" : `: ${output.retyped(record.reason)}`}`,
    paint.dim(`on ${record.driver}, for ${humanDuration(until - record.startedAt)}`),
    "",
    renderTable(
      [
        { title: "COMPONENT", value: ({ id }) => id },
        { title: "TYPE", rank: 7, value: ({ type }) => type },
        { title: "FROM", rank: 5, narrow: "cut", value: ({ connections }) => connections.upstream.join(", ") || "-" },
        { title: "STATE", value: (one) => paintState(stateOf(one, running), output) },
        { title: "UP", align: "right", value: (one) => `${up(one)}/${one.desiredInstances}` },
        { title: "IN", align: "right", value: (one) => (one.type === "source" ? "-" : count(one, "eventsIn")) },
        {
          title: "IN/S",
          align: "right",
          rank: 2,
          value: (one) => (one.type === "source" ? "-" : rate(one, "eventsIn")),
        },
        { title: "OUT", align: "right", value: (one) => (one.type === "sink" ? "-" : count(one, "eventsOut")) },
        {
          title: "OUT/S",
          align: "right",
          rank: 2,
          value: (one) => (one.type === "sink" ? "-" : rate(one, "eventsOut")),
        },
        { title: "IN FLIGHT", align: "right", rank: 6, value: (one) => count(one, "inFlight") },
        { title: "DROPPED", align: "right", rank: 3, value: (one) => count(one, "eventsDropped") },
        { title: "FAILED", align: "right", rank: 3, value: (one) => count(one, "eventsFailed") },
        { title: "BLOCKED", align: "right", rank: 1, value: (one) => share(worst(one)) },
      ],
      record.components,
      output,
    ),
  ];
  if (state === "stopped") lines.push("", output.retyped("`flowctl start` goes on where it stopped"));
  if (troubles.length > 0) lines.push("");
  for (const trouble of troubles) lines.push(...renderTrouble(trouble, output));
  if (slow.length > 0) lines.push("");
  for (const { id, holdsUp, share: held, waiting, works } of slow) {
    const what = works ? "is slow" : "processes nothing: no instance is running";
    lines.push(
      `${paint.yellow(id)} ${what}: ${holdsUp} was blocked ${share(held)} of the time, ${humanCount(waiting)} events wait`,
    );
  }
  if (disk !== undefined) lines.push("", `${paint.red("disk")}: ${disk.detail}`, `  fix            ${disk.fix}`);
  lines.push(...authorityEnds(found, now, output));
  return lines.join("\n");
}

/** That the user's own authority is about to expire, or has. */
function authorityEnds({ authorityExpires: end }: Found, now: number, { paint, retyped }: Output): string[] {
  if (end === undefined || end - now > EXPIRES_SOON_MS) return [];
  const when = new Date(end).toUTCString();
  const what =
    end > now ? `expires at ${when}` : `expired at ${when}: nobody outside the pipeline trusts what runs in it`;
  const fix = retyped("have it made again, and run `flowctl up --authority FILE`");
  return ["", `${paint.red("authority")}: the one that signs the pipeline's ${what}`, `  fix            ${fix}`];
}

/** The control plane calls what it was told to end stopping for as long as that is wanted. */
const stateOf = ({ id, state }: ComponentRecord, running: ReadonlySet<string>): string =>
  state === "stopping" && !running.has(id) ? "stopped" : state;

const up = ({ instances }: ComponentRecord): number =>
  instances.filter(({ state }) => state === "healthy" || state === "degraded" || state === "completed").length;

const total = (
  { totals }: ComponentRecord,
  key: "eventsIn" | "eventsOut" | "inFlight" | "eventsDropped" | "eventsFailed",
): number => totals[key];

const worst = ({ instances }: ComponentRecord): number =>
  Math.max(0, ...instances.filter(isAtWork).map(({ metrics }) => metrics.backpressure));

/** What has ended said last what is no longer so. */
const isAtWork = ({ state }: InstanceRecord): boolean => !["completed", "failed", "stopping"].includes(state);

const share = (part: number): string => (part < 0.005 ? "-" : `${Math.round(part * 100)}%`);

const count = (component: ComponentRecord, key: Parameters<typeof total>[1]): string =>
  humanCount(total(component, key));

const rate = (component: ComponentRecord, key: "eventsIn" | "eventsOut"): string =>
  humanRate(averageRate(component, key) ?? 0);
