import pLimit, { type LimitFunction } from "p-limit";
import type { ApplyContext, Change, Driver, ProgressSink, ResourceKind } from "../drivers/driver.ts";
import { type Clock, cancelled } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { type Plan, type PlanStep, resourceOf } from "../planner/plan.ts";
import { PrerequisiteWatch } from "./prerequisite-watch.ts";

export interface ExecuteOptions {
  readonly driver: Pick<Driver, "apply" | "observe">;
  /** Needed when the plan creates or replaces something. */
  readonly deployment?: ApplyContext["deployment"];
  readonly clock: Clock;
  /** Ends the execution: no further step begins, and nothing is waited for. */
  readonly signal: AbortSignal;
  /** Ends the steps that run, too; `signal` unless given. Given apart, an interrupted plan leaves nothing half-made. */
  readonly hurry?: AbortSignal;
  readonly progress: ProgressSink;
  /** End instances at once instead of within their grace period. */
  readonly force?: boolean;
  /** Steps that run at once; default 8. */
  readonly concurrency?: number;
  /** How often prerequisites are looked at, in milliseconds; default 200. */
  readonly pollIntervalMs?: number;
  /**
   * Awaited before a step is applied and after its prerequisites are met. A rejection fails the step. The signal fires when
   * the plan is not carried out any further.
   */
  readonly beforeStep?: (step: PlanStep, signal: AbortSignal) => Promise<void>;
}

/**
 * Carries out a plan: every step as soon as the steps and the conditions that it waits for are done, several at once.
 * After the first error no further step begins; those that run are let finish, and then that error is thrown. What was
 * done stays: a later plan goes on from there.
 */
export async function executePlan(plan: Plan, options: ExecuteOptions): Promise<void> {
  const running = new Map<number, Promise<void>>();
  const finished = new Set<number>();
  const waiting = new Set(plan.steps.keys());
  const failures: unknown[] = [];
  const stop = new AbortController();
  const watch = new PrerequisiteWatch(plan, options, AbortSignal.any([options.signal, stop.signal]));
  const turns = pLimit(options.concurrency ?? 8);

  const begin = (index: number, step: PlanStep): void => {
    const done = perform(plan, step, options, watch, turns, stop.signal).then(
      () => {
        finished.add(index);
      },
      (error: unknown) => {
        failures.push(error);
        stop.abort();
      },
    );
    running.set(
      index,
      done.finally(() => running.delete(index)),
    );
  };

  while (failures.length === 0 && !options.signal.aborted) {
    for (const index of waiting) {
      const step = plan.steps[index] as PlanStep;
      if (!step.afterSteps.every((other) => finished.has(other))) continue;
      waiting.delete(index);
      begin(index, step);
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  await Promise.all(running.values());
  if (failures.length > 0) throw firstCause(failures);
  if (options.signal.aborted) throw cancelled(options.signal);
}

async function perform(
  plan: Plan,
  step: PlanStep,
  options: ExecuteOptions,
  watch: PrerequisiteWatch,
  turns: LimitFunction,
  stopped: AbortSignal,
): Promise<void> {
  const { change } = step;
  const resource = resourceOf(change);
  const { key: subject } = resource;
  const [now, then] = wordsFor(change, resource);
  await watch.met(step.after, subject);
  await options.beforeStep?.(step, AbortSignal.any([options.signal, stopped]));
  await turns(async () => {
    try {
      // Somebody else may have failed while this step waited for its turn.
      if (stopped.aborted || options.signal.aborted) throw cancelled(options.signal);
      options.progress({ subject, status: "working", text: now });
      await options.driver.apply(change, {
        pipeline: plan.pipeline,
        signal: options.hurry ?? options.signal,
        progress: options.progress,
        ...(options.deployment === undefined ? {} : { deployment: options.deployment }),
        ...(options.force === undefined ? {} : { force: options.force }),
      });
      options.progress({ subject, status: "done", text: then });
    } catch (error) {
      const failure = FlowctlError.wrap(error, {
        code: "planner/step-failed",
        kind: "failed",
        message: `${now} ${subject} failed`,
      });
      if (failure.kind !== "cancelled") options.progress({ subject, status: "failed", text: failure.message });
      throw failure;
    }
  });
}

/** What was cancelled because of another failure is not the reason; the other failure is. */
function firstCause(failures: readonly unknown[]): unknown {
  const own = failures.find((error) => !(error instanceof FlowctlError && error.kind === "cancelled"));
  return own ?? failures[0];
}

/** What is said of a change while it is made, and afterwards. Whatever runs is started when it is created. */
function wordsFor({ action }: Change, { kind }: { readonly kind: ResourceKind }): readonly [now: string, then: string] {
  if (action === "create" && kind !== "volume" && kind !== "network") return WORDS.start;
  return WORDS[action];
}

const WORDS: Readonly<Record<Change["action"], readonly [now: string, then: string]>> = {
  create: ["Creating", "Created"],
  replace: ["Replacing", "Replaced"],
  start: ["Starting", "Started"],
  stop: ["Stopping", "Stopped"],
  restart: ["Restarting", "Restarted"],
  remove: ["Removing", "Removed"],
};
