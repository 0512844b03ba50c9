import type { Driver } from "../../drivers/driver.ts";
import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { instanceIdOf, type Plan, resourceOf } from "../../planner/plan.ts";
import type { InstanceRecord, PipelineRecord } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import { humanDuration } from "../display/quantities.ts";
import { awaitedInWords } from "./awaited.ts";
import { type Failure, failureError, failureOf, lastLines } from "./outcome.ts";
import { STAYS_AFTER_RESTART, StaysHealthy } from "./stays-healthy.ts";
import { FreshVerdict } from "./verdict.ts";
import { watchPipeline } from "./watch-pipeline.ts";

/** States that can be waited for: `healthy` is every component healthy, or already completed. */
export const AWAITABLE_STATES = ["healthy", "completed"] as const;
export type AwaitableState = (typeof AWAITABLE_STATES)[number];

export interface WaitTarget {
  readonly access: ControlPlaneAccess;
  readonly driver: Driver;
  readonly pipeline: string;
}

export interface WaitForStateOptions {
  readonly timeoutMs?: number | undefined;
  /** What `timeoutMs` has been counted for already; default: it begins now. */
  readonly deadline?: AbortSignal;
  /** The start that is waited for, so that the end of an earlier one is not taken for its own. */
  readonly since?: {
    readonly before: PipelineRecord | undefined;
    readonly plan: Plan;
    readonly startedAt: number;
  };
}

/**
 * Resolves with `healthy` or `completed` when the pipeline is so. Rejects when it fails (after showing the last lines
 * of what failed), with `cli/wait-timeout` when it takes too long, and when it is taken down.
 */
export async function waitForState(
  context: CommandContext,
  target: WaitTarget,
  state: AwaitableState,
  options: WaitForStateOptions = {},
): Promise<AwaitableState> {
  const { deps, signal } = context;
  const { since, timeoutMs } = options;
  const verdict = since && new FreshVerdict(since.before, since.plan, since.startedAt);
  const known = since?.before === undefined ? [] : instancesOf(since.before);
  const stays = new StaysHealthy(deps.clock, new Map(known.map((one) => [one.id, restartsWhenStarted(one)])));
  let isSaid = false;
  const isStale = (record: PipelineRecord): boolean => since !== undefined && someAreFromBefore(record, since);
  const deadline =
    options.deadline ?? (timeoutMs === undefined ? undefined : withDeadline(signal, Math.max(1, timeoutMs)));
  let latest: PipelineRecord | undefined;
  try {
    const reached = await watchPipeline<AwaitableState | Failure>(
      {
        access: target.access,
        clock: deps.clock,
        signal: deadline ?? signal,
        onOutage: (away) => {
          const { hanging } = target.access;
          if (away && hanging !== undefined) context.output.warn(`${hanging.message}; still waiting`, hanging.fix);
        },
        exists: async () =>
          (await target.driver.observe(target.pipeline, signal)).some(({ kind }) => kind === "component"),
        // Whoever waits for what it has started sees to it; whoever only waits changes nothing.
        ...(since === undefined ? {} : { reviving: target }),
      },
      (record) => {
        latest = record;
        const ended = verdict === undefined ? record.state : verdict.of(record);
        if (ended === "failed") return failureOf(record);
        if (ended === "completed") return "completed";
        const anew = since === undefined ? [] : startedAnew(record, since.plan);
        const stay = stays.look(anew);
        if (state !== "healthy" || !isHealthy(record) || isStale(record)) return undefined;
        if (!stay && !isSaid && stays.hasRestarted(anew)) {
          isSaid = true;
          const seconds = STAYS_AFTER_RESTART / 1_000;
          context.output.say(`Healthy after a restart; waiting ${seconds} s to see that it stays so`);
        }
        return stay ? "healthy" : undefined;
      },
    );
    if (typeof reached === "string") return reached;
    await showLastLines(context, target, reached);
    throw failureError(target.pipeline, reached);
  } catch (error) {
    if (signal.aborted || deadline?.aborted !== true) throw error;
    throw tooLate(target.pipeline, state, humanDuration(timeoutMs ?? 0), latest);
  }
}

/** What keeps it, as far as that is known: what somebody stopped waits for somebody to start it. */
function tooLate(pipeline: string, state: AwaitableState, within: string, record?: PipelineRecord): FlowctlError {
  const awaits = record === undefined ? "" : awaitedInWords(record);
  const instances = record === undefined ? [] : instancesOf(record);
  const isStopped = instances.some(({ desiredStopped }) => desiredStopped) && instances.every(isStoppedOrCompleted);
  const now =
    record === undefined ? "its control plane did not answer" : `it is ${isStopped ? "stopped" : record.state}`;
  const why = isStopped || awaits === "" ? "" : `: ${awaits}`;
  return new FlowctlError({
    code: "cli/wait-timeout",
    kind: "timeout",
    message: `${pipeline} was not ${state} within ${within}; ${now}${why}`,
    fix: isStopped
      ? `Start it with \`flowctl start -p ${pipeline}\``
      : `See what it is waiting for with \`flowctl status -p ${pipeline}\``,
  });
}

function isStoppedOrCompleted({ desiredStopped, state }: InstanceRecord): boolean {
  return desiredStopped || state === "completed";
}

/** Whether an instance that was started anew is still known only as it was before. */
function someAreFromBefore(
  record: PipelineRecord,
  { before, plan }: Pick<NonNullable<WaitForStateOptions["since"]>, "before" | "plan">,
): boolean {
  if (before === undefined) return false;
  const known = new Map(instancesOf(before).map(({ id, registeredAt }) => [id, registeredAt]));
  return startedAnew(record, plan).some(({ id, registeredAt }) => known.get(id) === registeredAt);
}

/** How often it will have been restarted once it is started as asked: where somebody stopped it, the count begins anew. */
function restartsWhenStarted({ desiredStopped, restarts }: InstanceRecord): number {
  return desiredStopped ? 0 : restarts + 1;
}

/** What is known of the instances that the plan creates, replaces or starts. */
function startedAnew(record: PipelineRecord, { steps }: Plan): readonly InstanceRecord[] {
  const anew = steps
    .filter(({ change }) => change.action !== "remove" && change.action !== "stop")
    .map(({ change }) => resourceOf(change))
    .filter(({ kind }) => kind === "component");
  const ids = new Set(anew.map(instanceIdOf));
  return instancesOf(record).filter(({ id }) => ids.has(id));
}

function instancesOf({ components }: PipelineRecord): readonly InstanceRecord[] {
  return components.flatMap(({ instances }) => instances);
}

function isHealthy(record: PipelineRecord): boolean {
  return (
    record.state === "running" &&
    record.components.every(
      ({ state, instances, desiredInstances }) =>
        (state === "healthy" || state === "completed") && instances.length >= desiredInstances,
    )
  );
}

/** Shows what the first instances that failed logged last, on standard error; not with `--json`. */
export async function showLastLines(
  context: CommandContext,
  target: Pick<WaitTarget, "driver" | "pipeline">,
  failure: Failure,
): Promise<void> {
  const { output, signal } = context;
  if (output.json) return;
  const { parseRecord, renderRecord } = await import("../display/log-printer.ts");
  for (const { id } of failure.instances.slice(0, 3)) {
    for (const line of await lastLines(target.driver, target.pipeline, id, 10, signal)) {
      const record = parseRecord(line.text);
      const text = record === undefined ? line.text : renderRecord(record, output.paintError);
      output.stderr.write(`${output.paintError.dim(`${id} │`)} ${text}\n`);
    }
  }
}
