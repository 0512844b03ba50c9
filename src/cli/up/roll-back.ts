import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import { isEmpty } from "../../planner/plan.ts";
import type { KeptPipeline } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { renderTrouble, troublesOf } from "../troubles.ts";
import { prepareWanted } from "./bring-up.ts";
import type { PreparedUp, Wanted } from "./change.ts";
import { untilHeard } from "./control-plane-patience.ts";
import { keptBefore } from "./keeping.ts";
import { changedSecrets, type Kept, openKept } from "./kept.ts";
import { deploymentOf } from "./kept-deployment.ts";
import { planChange } from "./plan-change.ts";
import { isSomebodyElses } from "./somebody-elses.ts";
import { startPrepared } from "./start-prepared.ts";
import { startUntilHealthy } from "./until-healthy.ts";

const COMMAND = "flowctl up (rolling back)";

/** Failures of what runs, rather than of a step. */
const NOT_WELL: ReadonlySet<string> = new Set(["cli/pipeline-failed", "cli/wait-timeout", "cli/unhealthy"]);

/**
 * After a change that did not work: puts back the pipeline that was last healthy, as a change of its own that loses nothing, waits until
 * it is healthy again, and says all that. Returns the error to end with, which tells what became of it: `cli/rolled-back`,
 * `cli/not-rolled-back`, or `error` itself where nothing had been changed, or nothing ran before.
 */
export async function rollBack(
  context: CommandContext,
  changed: PreparedUp,
  error: unknown,
  timeoutMs: number | undefined,
): Promise<unknown> {
  const { output, signal } = context;
  const { pipeline, done } = changed;
  if (!(error instanceof FlowctlError) || error.kind === "cancelled" || isSomebodyElses(error)) return error;
  if (!done.changed) return error;
  await showTroubles(context, changed);
  if (!changed.observed.some(({ kind }) => kind === "component")) {
    output.say(
      `Nothing was running before, so there is nothing to roll back to: what was started keeps running until \`flowctl down -p ${pipeline.name}\``,
    );
    return error;
  }
  try {
    const kept = await lastHealthy(context, changed);
    output.say(`${pipeline.name} failed to become healthy: rolling back`);
    const became = await putBack(context, changed, { error, kept, timeoutMs });
    // What failed is gone, and its logs with it.
    const fix = error.fix?.includes("flowctl logs")
      ? "To see its logs, keep the failed change: `flowctl up --wait --no-rollback`, then `flowctl logs`"
      : error.fix;
    return ended(error, "cli/rolled-back", became, fix);
  } catch (failure) {
    if (signal.aborted) {
      output.say(
        "Interrupted during the rollback: `flowctl up` continues from here, `flowctl down` removes everything",
      );
      return failure;
    }
    if (!(failure instanceof FlowctlError)) throw failure;
    const fix = failure.fix ?? "Fix the file and run `flowctl up` again";
    return ended(error, "cli/not-rolled-back", `The rollback failed: ${failure.message}`, fix);
  }
}

function ended(error: FlowctlError, code: string, message: string, fix = error.fix): FlowctlError {
  return new FlowctlError({
    code,
    kind: error.kind,
    message: `${messageOf(error)}. ${message}`,
    ...(fix === undefined ? {} : { fix }),
    ...(error.position === undefined ? {} : { position: error.position }),
    cause: error,
  });
}

async function showTroubles(context: CommandContext, { access, driver }: PreparedUp): Promise<void> {
  const { output, signal } = context;
  const record = await access.record(signal);
  for (const trouble of record === undefined ? [] : await troublesOf(record, driver, signal)) {
    // What to do about it is done here.
    output.say(renderTrouble({ ...trouble, fix: "" }, output).join("\n"));
  }
}

/** What to go back to. Rejects with `cli/nothing-kept` or `cli/changed-meanwhile`, or where no control plane can be asked. */
async function lastHealthy({ deps, signal }: CommandContext, changed: PreparedUp): Promise<Kept> {
  const { access, driver, pipeline } = changed;
  const patience = { driver, pipeline: pipeline.name, clock: deps.clock, whileAbsent: false };
  const asked = await untilHeard(async () => (await access.record(signal)) !== undefined, patience, signal);
  if (asked.outcome === "hangs") throw access.hangs(access.hanging);
  if (asked.outcome !== "heard") throw access.away(asked.failure);
  const now = await keptBefore(access, signal);
  refuseChanged(now, changed);
  const sealed = (changed.keptBefore ?? now)?.healthy;
  const kept = sealed && openKept(sealed, await deps.homeKey());
  if (kept !== undefined) return kept;
  throw new FlowctlError({
    code: "cli/nothing-kept",
    kind: "not-found",
    message:
      sealed === undefined
        ? "no earlier state of the pipeline is known that was healthy"
        : "it was started by another user, from another machine, or by another version of flowctl",
  });
}

/** Throws when another command has changed the pipeline since. */
function refuseChanged(now: KeptPipeline | undefined, { done }: PreparedUp): void {
  const none = new Uint8Array();
  // What the control plane was given may have come to it, although nobody waited for its answer.
  const ours = done.kept === undefined ? [none, done.given ?? none] : [done.kept];
  if (now === undefined || ours.some((one) => Buffer.compare(now.latest ?? none, one) === 0)) return;
  throw new FlowctlError({
    code: "cli/changed-meanwhile",
    kind: "conflict",
    message: "another command has changed the pipeline in the meantime",
    fix: "See the current state with `flowctl status`",
  });
}

/** Carries it out. Returns what became of it, and what is not as it was. */
async function putBack(
  context: CommandContext,
  changed: PreparedUp,
  {
    error,
    kept,
    timeoutMs,
  }: { readonly error: FlowctlError; readonly kept: Kept; readonly timeoutMs: number | undefined },
): Promise<string> {
  const { deps } = context;
  const deployment = await deploymentOf(context, kept);
  const placed = (error: unknown): unknown => error;
  const how = { build: false, dryRun: false, placed, envFile: kept.envFile };
  const wanted = await prepareWanted(context, changed.driver, deployment, how);
  const secrets = changedSecrets(kept, deployment.secretValues, await deps.homeKey());
  await mendWhatOthersWaitFor(context, changed, wanted, timeoutMs);
  const change = await planChange(context, wanted, {
    dryRun: false,
    forceRecreate: false,
    command: COMMAND,
    goingBack: true,
  });
  try {
    if (isEmpty(change.plan) && NOT_WELL.has(error.code)) throw noDifference(secrets);
    await startUntilHealthy(context, change, timeoutMs);
    const became = isEmpty(change.plan)
      ? "Nothing had to be rolled back: the previous version is healthy"
      : "Rolled back to the previous version, which is healthy";
    return secrets.length === 0
      ? became
      : `${became}, but with the current value of ${secrets.join(", ")}: earlier ones are not kept`;
  } finally {
    change.release();
    change.access.close();
  }
}

function noDifference(secrets: readonly string[]): FlowctlError {
  const but = secrets.length === 0 ? "" : `, but for the value of ${secrets.join(", ")}, and earlier ones are not kept`;
  return new FlowctlError({
    code: "cli/nothing-to-put-back",
    kind: "not-found",
    message: `it is the same as what is running now${but}`,
    fix: "See what is wrong with `flowctl status`",
  });
}

/**
 * A component that was removed and is to come back has to leave first, and can do so only when what is below it works: what stays
 * gets its earlier settings before anything else.
 */
async function mendWhatOthersWaitFor(
  context: CommandContext,
  changed: PreparedUp,
  wanted: Wanted,
  timeoutMs: number | undefined,
): Promise<void> {
  const record = await changed.access.record(context.signal);
  const before = new Set(wanted.deployment.pipeline.components.map(({ id }) => id));
  const leaving = record?.draining?.some(({ componentId, from }) => from === "" && before.has(componentId)) ?? false;
  const stay = new Set(changed.pipeline.components.map(({ id }) => id).filter((id) => before.has(id)));
  if (!leaving || stay.size === 0) return;
  const change = await planChange(context, wanted, {
    dryRun: false,
    forceRecreate: false,
    only: stay,
    command: COMMAND,
  });
  try {
    // What is new may go on failing meanwhile: nobody waits for that.
    const { signal } = context;
    await startPrepared(context, change, timeoutMs === undefined ? signal : withDeadline(signal, timeoutMs));
  } finally {
    change.access.close();
  }
}
