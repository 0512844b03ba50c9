import { hasCode } from "../../foundation/errors.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { LogPrinter } from "../display/log-printer.ts";
import { plainProgress } from "../display/progress-plain.ts";
import { renderError } from "../display/render-error.ts";
import { awaitedInWords } from "./awaited.ts";
import { sayBanner } from "./banner.ts";
import type { PreparedUp } from "./change.ts";
import { LogFollower } from "./follow-logs.ts";
import { failureError, failureOf } from "./outcome.ts";
import { isSomebodyElses, wasNeverOurs } from "./somebody-elses.ts";
import { startPrepared } from "./start-prepared.ts";
import type { Watching } from "./stay-watching.ts";
import { FreshVerdict } from "./verdict.ts";
import { watchPipeline } from "./watch-pipeline.ts";
import { depthsOf, windDown } from "./wind-down.ts";

export interface AttachOptions {
  /** Take everything down at the end, volumes and state too, instead of only stopping it. */
  readonly ephemeral: boolean;
  readonly timestamps: boolean;
  readonly prefix: boolean;
  /** Carry out edits until the first interrupt, whatever becomes of the pipeline. */
  readonly watching?: Watching;
}

/** How an attached pipeline ended. */
export interface Ending {
  readonly startedAt: number;
  readonly endedAt: number;
  /** As the control plane saw it last; undefined when it was never reached. */
  readonly record: PipelineRecord | undefined;
  /** Why it did not complete: it failed, could not be started, or was interrupted. */
  readonly error: unknown;
}

/** How often it is said what a pipeline that still starts waits for, in milliseconds. */
const SAY_WAITING = 10_000;

/** How long instances may take to exit after the pipeline has completed, in milliseconds. */
const EXIT_GRACE = 15_000;

/**
 * Starts a prepared pipeline and stays with it: shows its logs until it completes or fails. The first interrupt stops
 * it gracefully, the second at once. However it ends, nothing of it runs any more when this resolves, except its
 * control plane, which with `ephemeral` is gone too. Errors are returned, for the caller to report after its summary.
 */
export async function attach(context: CommandContext, prepared: PreparedUp, options: AttachOptions): Promise<Ending> {
  const { deps } = context;
  const release = deps.interrupts.answerSecond();
  const startedAt = deps.clock.now();
  const logs = followLogs(context, prepared, options, startedAt);
  let current = prepared;
  let error: unknown;
  let endedAt = startedAt;
  let record: PipelineRecord | undefined;
  try {
    try {
      // What is edited while it is built and started is an edit of what was read.
      await options.watching?.start(prepared);
      await startPrepared(context, prepared);
      if (!options.ephemeral) await sayBanner(context, prepared, { state: "started", attached: true });
      logs.start();
      if (options.watching === undefined) {
        await untilEnd(context, prepared, new FreshVerdict(prepared.before, prepared.plan, startedAt), options);
        await untilExited(context, prepared);
      } else {
        await watchUntilInterrupt(context, prepared, options.watching, (changed) => {
          current = changed;
        });
      }
    } catch (caught) {
      error = caught;
    }
    endedAt = deps.clock.now();
    // Whoever has taken over the pipeline sees to the rest of it.
    if (!isSomebodyElses(error)) await settle(context, current, options, "stop");
    await drain(context, logs);
    record = await current.access.record(new AbortController().signal);
  } finally {
    options.watching?.close();
    await logs.stop();
    if (options.ephemeral && !wasNeverOurs(error)) await settle(context, current, options, "remove");
    current.access.close();
    release();
  }
  return { startedAt, endedAt, record, error };
}

function followLogs(context: CommandContext, prepared: PreparedUp, options: AttachOptions, since: number): LogFollower {
  const { deps, output } = context;
  const { driver, pipeline } = prepared;
  const printer = new LogPrinter(output, {
    timestamps: options.timestamps,
    prefix: options.prefix,
    onlyResults: output.quiet,
    names: pipeline.components.map(({ id, replicas }) => `${id}-${replicas}`),
  });
  return new LogFollower({
    driver,
    pipeline: pipeline.name,
    select: [],
    since,
    clock: deps.clock,
    print: (line) => printer.print(line),
    onBreak: (error) => output.warn(`the log stream broke; resuming: ${error.message}`),
  });
}

/** Resolves when the pipeline has completed; rejects when it failed, was taken down, or the first interrupt came. */
async function untilEnd(
  context: CommandContext,
  prepared: PreparedUp,
  verdict: FreshVerdict,
  options: Pick<AttachOptions, "ephemeral">,
): Promise<void> {
  const { deps, output, signal } = context;
  const { access, driver, pipeline } = prepared;
  let saidAt = deps.clock.now();
  const failure = await watchPipeline(
    {
      access,
      clock: deps.clock,
      signal,
      exists: async () => (await driver.observe(pipeline.name, signal)).some(({ kind }) => kind === "component"),
      onOutage: (away) =>
        output.say(away ? "the control plane is unreachable; events continue to flow" : "the control plane is back"),
      reviving: { driver, pipeline: pipeline.name },
    },
    (record) => {
      const ended = verdict.of(record);
      if (ended === undefined) {
        const now = deps.clock.now();
        if (record.state === "starting" && now - saidAt >= SAY_WAITING) {
          saidAt = now;
          output.say(`waiting for ${pipeline.name} to become healthy: ${awaitedInWords(record)}`);
        }
        return undefined;
      }
      return ended === "completed" ? "none" : failureOf(record);
    },
  );
  if (failure !== "none") throw failureError(pipeline.name, failure, options.ephemeral);
}

/** Rejects at the first interrupt, or when the pipeline is somebody else's or gone. `onChange` is told what runs after each edit. */
async function watchUntilInterrupt(
  context: CommandContext,
  prepared: PreparedUp,
  watching: Watching,
  onChange: (changed: PreparedUp) => void,
): Promise<never> {
  const { deps, signal } = context;
  let current = prepared;
  let startedAt = deps.clock.now();
  for (;;) {
    const stop = new AbortController();
    const gone = new AbortController();
    const verdict = new FreshVerdict(current.before, current.plan, startedAt);
    const inner = { ...context, signal: AbortSignal.any([signal, stop.signal]) };
    const following = sayHowItEnds(inner, current, verdict).catch((error: unknown) => gone.abort(error));
    let changed: PreparedUp | undefined;
    try {
      const until = AbortSignal.any([signal, gone.signal]);
      while (changed === undefined) {
        startedAt = deps.clock.now();
        changed = await watching.next(current, until);
      }
    } finally {
      stop.abort(signal.reason);
      await following;
    }
    current.access.close();
    current = changed;
    onChange(changed);
  }
}

/** Rejects when the pipeline is gone, or for a defect; resolves when the signal fires. */
async function sayHowItEnds(context: CommandContext, current: PreparedUp, verdict: FreshVerdict): Promise<void> {
  const { output, errorView, signal } = context;
  try {
    await untilEnd(context, current, verdict, { ephemeral: false });
    output.say(`${current.pipeline.name} completed; waiting for the next edit`);
  } catch (error) {
    if (signal.aborted) return;
    if (!hasCode(error, "cli/pipeline-failed")) throw error;
    output.stderr.write(`${renderError(error, errorView)}\n`);
    output.say("Waiting for the next edit");
  }
}

/** A completed instance says so just before it exits. */
async function untilExited(context: CommandContext, prepared: PreparedUp): Promise<void> {
  const { deps, signal } = context;
  const end = deps.clock.elapsed() + EXIT_GRACE;
  while (deps.clock.elapsed() < end) {
    const observed = await prepared.driver.observe(prepared.pipeline.name, signal);
    if (!observed.some(({ kind, state }) => kind === "component" && state.status === "running")) return;
    await deps.clock.sleep(50, signal);
  }
}

async function settle(
  context: CommandContext,
  prepared: PreparedUp,
  options: Pick<AttachOptions, "ephemeral">,
  mode: "stop" | "remove",
): Promise<void> {
  const { deps, output } = context;
  const { first, second } = deps.interrupts;
  if (first.aborted && mode === "stop") {
    output.say(`Stopping ${prepared.pipeline.name}: draining; press Ctrl-C again to stop now`);
  }
  // Log lines come in between: a spinner would be torn.
  const progress = output.quiet || output.json ? { sink: () => undefined } : plainProgress(output);
  const { unheard } = await windDown({
    driver: prepared.driver,
    pipeline: prepared.pipeline.name,
    command: options.ephemeral ? "flowctl run" : "flowctl up",
    depths: depthsOf(prepared.pipeline, undefined),
    mode,
    volumes: true,
    select: [],
    deps,
    // Whoever started it ends it, whether or not it can be told.
    unheard: { otherwise: "go-on", patience: second },
    progress: progress.sink,
    hurry: second,
    onHurry: () => output.say("Stopping now"),
    onUnheard: () =>
      output.say(
        "Ending it as soon as the control plane has heard of it, in 5 s at the latest: it would start it again. Ctrl-C once more leaves it running",
      ),
  });
  if (mode !== "stop") return;
  if (!unheard && first.aborted && !options.ephemeral) {
    output.say(`${prepared.pipeline.name} is stopped: \`flowctl up\` resumes it, \`flowctl down\` removes it`);
  }
  if (unheard) {
    output.warn(
      "The control plane did not hear of it, and starts everything again once it answers",
      `Take the pipeline down with \`flowctl down ${prepared.pipeline.name}\``,
    );
  }
}

async function drain(context: CommandContext, logs: LogFollower): Promise<void> {
  const { second } = context.deps.interrupts;
  if (second.aborted) return;
  try {
    await logs.drain(second);
  } catch (error) {
    // Cut short by the second interrupt: there is nobody to read the rest.
    if (!second.aborted) throw error;
  }
}
