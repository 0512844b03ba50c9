import type { Driver, ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import { executePlan } from "../../executor/execute.ts";
import { firesAfter, withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { makeTopology, topologyOf } from "../../pipeline/topology.ts";
import { instanceIdOf, isEmpty, type Plan, resourceOf } from "../../planner/plan.ts";
import { planDown, planStop, selectInstances } from "../../planner/plan-lifecycle.ts";
import type { DesiredChange, PipelineRecord } from "../../protocol/records.ts";
import { isAway, NO_CONTROL_PLANE } from "../control-plane-access.ts";
import type { CliDependencies } from "../dependencies.ts";
import { failureOfControlPlane } from "./control-plane-failure.ts";
import { PipelineOperation } from "./operation.ts";

export interface WindDownOptions {
  readonly driver: Driver;
  readonly pipeline: string;
  /** What is being done, for whoever else wants to change the pipeline, such as `flowctl down`. */
  readonly command: string;
  /** How far each component is from the sources: those stop first. */
  readonly depths: ReadonlyMap<string, number>;
  /** `remove` takes everything away, `stop` leaves it to be started again. */
  readonly mode: "stop" | "remove";
  /** With `remove`: volumes and state too. */
  readonly volumes: boolean;
  /** Only these, with `stop`. */
  readonly select: readonly string[];
  readonly deps: Pick<CliDependencies, "connect" | "clock">;
  /** With `remove`: whether the control plane was found not to answer. It is not asked then. */
  readonly hanging?: boolean;
  /** With `stop`: what to do where a control plane is there and does not get to hear of it. */
  readonly unheard?: {
    /** `refuse` stops nothing: it would be started again. `go-on` stops all the same. */
    readonly otherwise: "refuse" | "go-on";
    /** Fires when it is not waited for any longer; with `go-on`, than one that answers takes. */
    readonly patience: AbortSignal;
  };
  readonly progress: ProgressSink;
  /** Fires when it is to end at once; what then still runs is killed. */
  readonly hurry: AbortSignal;
  /** The same after so many milliseconds, 0 for at once, counted from when what stops has been told to. */
  readonly timeoutMs?: number | undefined;
  /** Called when the graceful part is cut short. */
  readonly onHurry: () => void;
  /** Called before that where the control plane has still to hear of it, for which it gets 5 s: what it does not know of it would start again. */
  readonly onUnheard?: () => void;
}

export interface WoundDown {
  /** The plan that it began with. */
  readonly plan: Plan;
  /** Instances that were to run until now, whether or not they did. */
  readonly told: readonly string[];
  /** Whether a control plane is left that was not told: once it answers again it starts what is to run as far as it knows. */
  readonly unheard: boolean;
}

/**
 * Stops or removes a pipeline from its sources down, each instance within its grace period; when `hurry` fires, at
 * once. First the control plane is told that it is to be stopped: from then on nothing of it is started any more, and
 * what comes into being late is stopped by the supervisor, whatever becomes of this command. One that is away is waited for
 * before anything is stopped, and brought back where nobody else does that: it would start again what it was not told of.
 * Without a control plane there is nobody who starts anything. Rejects with kind `unavailable`, and has stopped nothing, when it
 * does not get to hear of it and that is to be refused.
 */
export async function windDown(options: WindDownOptions): Promise<WoundDown> {
  const { driver, pipeline, deps } = options;
  const never = new AbortController().signal;
  const operation = new PipelineOperation(deps, driver, pipeline, options.command);
  const takesLong = firesAfter(options.hurry, SAID_AFTER);
  const stillTelling = (): void => options.onUnheard?.();
  takesLong.addEventListener("abort", stillTelling, { once: true });
  try {
    const told = await tell(operation, options, never).finally(() =>
      takesLong.removeEventListener("abort", stillTelling),
    );
    const hurry = hurryAfter(options.timeoutMs, options.hurry);
    let plan = planFor(await driver.observe(pipeline, never), options);
    const first = plan;
    const base = { driver, clock: deps.clock, progress: options.progress };
    const look = async (): Promise<Plan> => planFor(await driver.observe(pipeline, never), options);
    let graceful = false;
    while (!hurry.aborted && !graceful) {
      const signal = AbortSignal.any([hurry, operation.takenOver]);
      try {
        const next = await carriedOut(plan, { ...base, signal }, look);
        graceful = next === undefined;
        plan = next ?? plan;
      } catch (error) {
        operation.takenOver.throwIfAborted();
        if (hurry.aborted && error instanceof FlowctlError && error.kind === "cancelled") break;
        throw error;
      }
    }
    if (!graceful) options.onHurry();
    let since: number | undefined;
    for (let quiet = 0; quiet < looksAfter(options.mode, graceful, told !== undefined); ) {
      const rest = planFor(await driver.observe(pipeline, never), { ...options, depths: new Map() });
      const isTooLong = since !== undefined && deps.clock.elapsed() - since >= GONE_WITHIN;
      if (isTooLong && !isEmpty(rest)) throw notGone(pipeline, keysOf(rest), options.mode);
      await carriedOut(rest, { ...base, signal: never, force: true }, look);
      since ??= deps.clock.elapsed();
      quiet = isEmpty(rest) ? quiet + 1 : 0;
      if (quiet < looksAfter(options.mode, graceful, told !== undefined)) await deps.clock.sleep(LATECOMERS);
    }
    const isThere = (await driver.observe(pipeline, never)).some(({ kind }) => kind === "control-plane");
    return { plan: first, told: told ?? [], unheard: told === undefined && isThere };
  } finally {
    operation.release();
  }
}

/**
 * Carries a plan out. A step may have met what was still being made when it was planned, a volume in use, say: where there is such a thing,
 * resolves to a plan that has it, to be carried out next. Else rejects with what failed.
 */
async function carriedOut(
  plan: Plan,
  options: Parameters<typeof executePlan>[1],
  look: () => Promise<Plan>,
): Promise<Plan | undefined> {
  try {
    await executePlan(plan, options);
    return undefined;
  } catch (error) {
    await options.clock.sleep(LATECOMERS);
    const next = await look().catch(() => plan);
    const planned = new Set(keysOf(plan));
    if (keysOf(next).every((key) => planned.has(key))) throw error;
    return next;
  }
}

/** Fires after `timeoutMs` (at once for 0), or when `signal` does. */
function hurryAfter(timeoutMs: number | undefined, signal: AbortSignal): AbortSignal {
  if (timeoutMs === undefined) return signal;
  return timeoutMs <= 0 ? AbortSignal.abort() : withDeadline(signal, timeoutMs);
}

/** How long a control plane may take to hear of it, once it is not waited for any longer, in milliseconds. */
const HEARD_WITHIN = 5_000;

/** After so many milliseconds somebody who is in a hurry is told what is waited for. */
const SAID_AFTER = 500;

/** So long things are taken away again and again before that is given up, in milliseconds. */
const GONE_WITHIN = 60_000;

/** Between two looks for what comes into being late, in milliseconds. */
const LATECOMERS = 150;

/**
 * How often nothing must be found at the end. What an engine was just making for a flowctl that was cut off may come into
 * being a moment later. The supervisor stops that; where it is removed itself, or none answers, this command looks.
 */
function looksAfter(mode: WindDownOptions["mode"], graceful: boolean, supervised: boolean): number {
  if (mode === "remove") return graceful ? 1 : 2;
  return graceful ? 0 : supervised ? 1 : 2;
}

/** Makes it the desired state. Returns the instances that were to run until now; undefined when no control plane has heard it. */
async function tell(
  operation: PipelineOperation,
  options: WindDownOptions,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  const { driver, pipeline, select, unheard, progress } = options;
  const chosen = select.length === 0 ? undefined : selectInstances(await driver.observe(pipeline, signal), select);
  const change = { stopped: chosen?.filter(({ kind }) => kind === "component").map(instanceIdOf) ?? "all" } as const;
  if (options.mode === "remove") return tellOnce(operation, change, options, signal);
  // Where it goes on, one that answers hears of it first however soon that fires: it would start again what is killed.
  const { otherwise, patience: asked = signal } = unheard ?? {};
  const patience = otherwise === "go-on" ? firesAfter(asked, HEARD_WITHIN) : asked;
  try {
    return await operation.desirePersistently(change, { takeOver: true, restartHung: true, progress }, patience);
  } catch (error) {
    operation.takenOver.throwIfAborted();
    if (otherwise === "go-on") return undefined;
    throw isAway(error) ? await nothingStopped(options, error) : error;
  }
}

/** What is to be removed need not hear of it: nobody is left then who starts anything. */
async function tellOnce(
  operation: PipelineOperation,
  change: DesiredChange,
  { hanging = false }: WindDownOptions,
  signal: AbortSignal,
): Promise<readonly string[] | undefined> {
  try {
    if (hanging || !(await operation.hold({ takeOver: true }, signal))) return undefined;
    return await operation.desire(change, signal);
  } catch (error) {
    if (isAway(error)) return undefined;
    throw error;
  }
}

async function nothingStopped({ driver, pipeline }: WindDownOptions, error: unknown): Promise<FlowctlError> {
  const said = await failureOfControlPlane(driver, pipeline, new AbortController().signal).catch(() => undefined);
  const message = messageOf(error);
  const why = said === undefined || message.includes(said.message) ? "" : `; it said last: ${said.message}`;
  const fix = said?.fix ?? (error instanceof FlowctlError ? error.fix : undefined);
  return new FlowctlError({
    code: NO_CONTROL_PLANE,
    kind: "unavailable",
    message: `Nothing was stopped, because it would be started again. ${message}${why}`,
    fix: `${fix === undefined ? "" : `${fix}; `}\`flowctl down ${pipeline}\` stops everything without it`,
    cause: error,
  });
}

function keysOf({ steps }: Plan): readonly string[] {
  return steps.map(({ change }) => resourceOf(change).key);
}

function notGone(pipeline: string, keys: readonly string[], mode: WindDownOptions["mode"]): FlowctlError {
  return new FlowctlError({
    code: "cli/not-gone",
    kind: "failed",
    message: `${keys.join(", ")} of ${pipeline} ${keys.length === 1 ? "is" : "are"} still ${mode === "remove" ? "there" : "running"}, although ${keys.length === 1 ? "it was" : "they were"} ${mode === "remove" ? "removed" : "stopped"} again and again for a minute`,
    fix: "Look at what holds it: `flowctl doctor` names what is left of pipelines.",
  });
}

function planFor(observed: readonly ObservedResource[], options: WindDownOptions): Plan {
  const { pipeline, depths, volumes, select } = options;
  if (options.mode === "stop") return planStop(pipeline, observed, select, { depths });
  return planDown(pipeline, observed, { depths, volumes });
}

/** How far each component is from the sources, by the file or, where there is none, by what the control plane knows. */
export function depthsOf(
  pipeline: Pick<Pipeline, "components"> | undefined,
  record: PipelineRecord | undefined,
): ReadonlyMap<string, number> {
  const topology =
    pipeline !== undefined
      ? topologyOf(pipeline)
      : makeTopology(
          Object.entries(record?.topology ?? {}).map(([id, { upstream }]) => ({
            id,
            inputs: upstream.map((from) => ({ from })),
          })),
        );
  return new Map(topology.ids.map((id) => [id, topology.depth(id)]));
}
