import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { CommandContext } from "../command.ts";
import { humanDuration } from "../display/quantities.ts";
import { startPrepared } from "./attach.ts";
import type { PreparedUp } from "./change.ts";
import { untilChecksPass } from "./checks-pass.ts";
import { failureError, failureOf } from "./outcome.ts";
import { type AwaitableState, waitForState } from "./wait-for-state.ts";

/** How often it is looked whether something has failed while a plan is being carried out, in milliseconds. */
const LOOK_INTERVAL = 500;

/**
 * Carries out the plan of `prepared` and waits until everything is healthy, services included, or completed. Rejects when a component is given
 * up meanwhile, also while a step waits for it, when a step fails, and with `cli/wait-timeout` after `timeoutMs` in all.
 */
export async function startUntilHealthy(
  context: CommandContext,
  prepared: PreparedUp,
  timeoutMs: number | undefined,
): Promise<AwaitableState> {
  const { deps, signal } = context;
  const { access, driver, pipeline, plan, before } = prepared;
  const startedAt = deps.clock.now();
  const deadline = timeoutMs === undefined ? signal : withDeadline(signal, Math.max(1, timeoutMs));
  let waitsFor = "";
  const late = (): boolean => deadline.aborted && !signal.aborted;
  try {
    await startUnlessFailed(context, prepared, deadline);
    const since = { before, plan, startedAt };
    const target = { access, driver, pipeline: pipeline.name };
    const state = await waitForState(context, target, "healthy", { timeoutMs, deadline, since });
    await untilChecksPass(context, prepared, deadline, (what) => {
      waitsFor = what;
    });
    return state;
  } catch (error) {
    if (!late() || !(error instanceof FlowctlError) || error.kind !== "cancelled") throw error;
    throw new FlowctlError({
      code: "cli/wait-timeout",
      kind: "timeout",
      message: `${pipeline.name} was not healthy within ${humanDuration(timeoutMs ?? 0)}${waitsFor === "" ? "" : `: ${waitsFor}`}`,
      fix: `See what it waits for with \`flowctl status -p ${pipeline.name}\``,
    });
  }
}

/** A step may wait for ever for what has failed: then it is given up with what has. */
async function startUnlessFailed(context: CommandContext, prepared: PreparedUp, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const over = new AbortController();
  const watching = failureMeanwhile(context, prepared, AbortSignal.any([signal, over.signal])).then((failure) => {
    if (failure !== undefined) stop.abort(failure);
    return failure;
  });
  try {
    await startPrepared(context, prepared, AbortSignal.any([signal, stop.signal]));
  } catch (error) {
    if (stop.signal.aborted && error instanceof FlowctlError && error.kind === "cancelled") throw stop.signal.reason;
    throw error;
  } finally {
    over.abort();
    await watching;
  }
}

/** The error of a pipeline that fails; undefined when the signal fires before it does. */
async function failureMeanwhile(
  { deps }: CommandContext,
  { access, before, pipeline }: PreparedUp,
  signal: AbortSignal,
): Promise<FlowctlError | undefined> {
  // What had failed before may be what this is to mend.
  let hadFailed = before?.state === "failed";
  while (!signal.aborted) {
    const record = await access.record(signal).catch(() => undefined);
    if (record?.state === "failed" && !hadFailed) return failureError(pipeline.name, failureOf(record));
    if (record !== undefined) hadFailed &&= record.state === "failed";
    await deps.clock.sleep(LOOK_INTERVAL, signal).catch(() => undefined);
  }
  return undefined;
}
