import type { ObservedResource } from "../../drivers/driver.ts";
import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { howItExited } from "../../foundation/how-it-exited.ts";
import { instanceIdOf, type Plan } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";
import { humanDuration } from "../display/quantities.ts";
import type { PreparedUp } from "./change.ts";
import { untilChecksPass } from "./checks-pass.ts";
import { type Failure, failureError, failureOf } from "./outcome.ts";
import { startPrepared } from "./start-prepared.ts";
import { type AwaitableState, showLastLines, waitForState } from "./wait-for-state.ts";

/** How often it is looked whether something has failed while a plan is being carried out, in milliseconds. */
const LOOK_INTERVAL = 500;

/** What has ended for so long, in milliseconds, is not started again by anybody. */
const ENDED_FOR = 10_000;

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
      fix: `See what it is waiting for with \`flowctl status -p ${pipeline.name}\``,
    });
  }
}

/** A step may wait for ever for what has failed: then it is given up with what has. */
async function startUnlessFailed(context: CommandContext, prepared: PreparedUp, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const over = new AbortController();
  let failed: Failure | undefined;
  const watching = failureMeanwhile(context, prepared, AbortSignal.any([signal, over.signal])).then((failure) => {
    failed = failure;
    if (failure !== undefined) stop.abort();
  });
  try {
    await startPrepared(context, prepared, AbortSignal.any([signal, stop.signal]));
  } catch (error) {
    if (failed === undefined || !(error instanceof FlowctlError) || error.kind !== "cancelled") throw error;
    const { driver, pipeline } = prepared;
    await showLastLines(context, { driver, pipeline: pipeline.name }, failed);
    throw failureError(pipeline.name, failed);
  } finally {
    over.abort();
    await watching;
  }
}

/**
 * Why the pipeline failed; undefined when the signal fires before it does. What fails before anything is changed, or is still to be
 * replaced, may be what this is to mend: it is no failure of this change.
 */
async function failureMeanwhile(
  { deps }: CommandContext,
  { access, before, done, driver, plan }: PreparedUp,
  signal: AbortSignal,
): Promise<Failure | undefined> {
  let hadFailed = before?.state === "failed";
  const ended = new Map<string, number>();
  while (!signal.aborted) {
    const hadChanged = done.changed;
    // Before the record: whoever is not replaced yet has had no success or failure of its own in it.
    const observed = await driver.observe(plan.pipeline, signal).catch(() => []);
    const record = await access.record(signal).catch(() => undefined);
    if (record?.state === "failed" && !hadFailed) {
      const failure = failureOf(record);
      const old = stillToReplace(plan, observed);
      const isEarlier = failure.instances.length > 0 && failure.instances.every(({ id }) => old.has(id));
      if (hadChanged && !isEarlier) return failure;
      hadFailed = true;
    }
    if (record !== undefined) hadFailed &&= record.state === "failed";
    // Nobody starts again what this command has just made, as long as it is at work.
    const all = madeAndEnded(plan, observed);
    for (const key of ended.keys()) if (!all.some((one) => one.key === key)) ended.delete(key);
    for (const { key, state } of all) {
      const since = ended.get(key) ?? deps.clock.now();
      ended.set(key, since);
      if (deps.clock.now() - since < ENDED_FOR) continue;
      const id = key.slice(key.indexOf("/") + 1);
      const reason = `${howItExited(state.exitCode)}, and a step waits for it`;
      return { reason: "", instances: [{ id, reason }] };
    }
    await deps.clock.sleep(LOOK_INTERVAL, signal).catch(() => undefined);
  }
  return undefined;
}

/** Ids of instances that the plan replaces and that are still as they were before it. */
function stillToReplace({ steps }: Plan, observed: readonly ObservedResource[]): ReadonlySet<string> {
  const hashes = new Map(observed.map(({ key, hash }) => [key, hash]));
  return new Set(
    steps.flatMap(({ change }) =>
      change.action === "replace" && hashes.get(change.resource.key) !== change.resource.hash
        ? [instanceIdOf(change.resource)]
        : [],
    ),
  );
}

/** What the plan has made anew and what has failed since. */
function madeAndEnded(
  { steps }: Plan,
  observed: readonly ObservedResource[],
): readonly { readonly key: string; readonly state: { readonly exitCode: number } }[] {
  const made = new Map(
    steps.flatMap(({ change }) =>
      change.action === "create" || change.action === "replace" ? [[change.resource.key, change.resource.hash]] : [],
    ),
  );
  return observed.flatMap(({ key, kind, hash, state }) =>
    kind === "component" && made.get(key) === hash && state.status === "exited" && state.exitCode !== 0
      ? [{ key, state }]
      : [],
  );
}
