import type { ApplyOptions } from "../../client/client.ts";
import type { Driver, ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import { executePlan } from "../../executor/execute.ts";
import { hasCode } from "../../foundation/errors.ts";
import type { HeldName } from "../../foundation/machine-lock.ts";
import { instanceIdOf, type Plan, type PlanStep, resourceOf } from "../../planner/plan.ts";
import type { KeptPipeline, PipelineRecord, PipelineSpec } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { type ControlPlaneAccess, isAway, NO_CONTROL_PLANE } from "../control-plane-access.ts";
import { announceUp, refuseTakenDown } from "./announcements.ts";
import type { ChangeOptions, Done, PreparedUp, Wanted } from "./change.ts";
import { completedBefore } from "./completed-before.ts";
import { failureOfControlPlane } from "./control-plane-failure.ts";
import { desiredBy } from "./desired-by-plan.ts";
import { forgetKept, keepCarriedOut } from "./keeping.ts";
import type { PipelineOperation } from "./operation.ts";
import { onceTold, removedSinks, startAgain, stopRemovedSinks } from "./stop-removed-sinks.ts";
import { onceLeft, untilLeft } from "./until-left.ts";

/** How long a control plane that has just become healthy may still not answer, in milliseconds. */
const CONTROL_PLANE_GRACE = 30_000;

/** A plan, and what it was made from. */
export interface Planned {
  readonly context: CommandContext;
  readonly access: ControlPlaneAccess;
  readonly operation: PipelineOperation;
  readonly wanted: Wanted;
  readonly plan: Plan;
  readonly observed: readonly ObservedResource[];
  readonly before: PipelineRecord | undefined;
  readonly kept: KeptPipeline | undefined;
  readonly spec: PipelineSpec;
  /** What the control plane is told along with `spec`. */
  readonly asked: Omit<ApplyOptions, "operation">;
  /** Told what this has come to. */
  readonly done: Done;
  readonly options: Pick<ChangeOptions, "discard" | "only">;
}

/** How a plan is carried out: the `execute` of what was prepared. */
export function carryOut(planned: Planned): PreparedUp["execute"] {
  return async (sink, until) => {
    const { context, operation, wanted, plan, before } = planned;
    const { driver } = wanted;
    let coming: HeldName | undefined;
    try {
      const isNew = plan.steps.length > 0 && operation.number === 0;
      if (isNew) coming = await announceUp(context, plan.pipeline);
      const steps = new Steps(planned, sink, until, () => coming?.release());
      // A control plane that runs learns of the change before anything else happens: it may refuse it.
      if (before !== undefined) await steps.tellFirst();
      const signal = AbortSignal.any([until, operation.takenOver]);
      await executePlan(plan, {
        ...{ driver, deployment: wanted.deployment, clock: context.deps.clock, signal, progress: sink },
        hurry: context.deps.interrupts.second,
        beforeStep: (step, ends) => steps.before(step, ends),
      });
      await steps.finish();
    } catch (error) {
      throw wanted.placed(await whyAway(error, driver, plan.pipeline, until));
    } finally {
      operation.release();
      await coming?.release();
    }
  };
}

/** What one execution has told the control plane so far. */
class Steps {
  readonly #planned: Planned;
  readonly #sink: ProgressSink;
  readonly #until: AbortSignal;
  readonly #onHeld: () => void;
  #told: Promise<void> | undefined;
  #toldBefore: Promise<void> | undefined;

  /** @param onHeld Called when the control plane knows of the operation, once or more often. */
  constructor(planned: Planned, sink: ProgressSink, until: AbortSignal, onHeld: () => void) {
    this.#planned = planned;
    this.#sink = sink;
    this.#until = until;
    this.#onHeld = onHeld;
  }

  async tellFirst(): Promise<void> {
    const { before, plan, spec, done, operation, wanted } = this.#planned;
    const sinks = removedSinks(plan, before?.spec, spec);
    const world = { driver: wanted.driver, operation, progress: this.#sink };
    if (sinks.length > 0) {
      // Nothing is stopped for a change that is refused.
      await this.#ask((client, inner) => client.checkPipeline(spec, inner, this.#planned.asked));
    }
    try {
      await stopRemovedSinks(plan, sinks, { ...world, signal: this.#until });
      const { clock } = this.#planned.context.deps;
      this.#toldBefore = sinks.length === 0 ? this.#tell() : onceTold(clock, this.#until, () => this.#tell());
      await this.#toldBefore;
    } catch (error) {
      // What was to be removed is still part of the pipeline then.
      if (!done.changed && !operation.takenOver.aborted) await startAgain(plan, sinks, world);
      throw error;
    }
    // One that is about to be replaced is told again what the first forgets: who holds the operation.
    const goesOn = !plan.steps.some(({ change }) => resourceOf(change).kind === "control-plane");
    if (goesOn) this.#told = this.#toldBefore;
  }

  async before(step: PlanStep, ends: AbortSignal): Promise<void> {
    const { before, access, context, done, options } = this.#planned;
    const { change } = step;
    done.changed = true;
    if (resourceOf(change).kind !== "component") return;
    // What is removed may go before the control plane is there, or there anew.
    if (change.action === "remove" || change.action === "stop") {
      this.#toldBefore ??= before === undefined ? Promise.resolve() : (this.#told ?? this.#tell());
      await this.#toldBefore;
    } else await this.#tellOnce();
    if (before === undefined) return;
    if (change.action === "stop") await this.#desireStopped(change.observed, ends);
    await untilLeft(step, access, {
      ...{ clock: context.deps.clock, progress: this.#sink, signal: ends, discard: options.discard ?? false },
      reach: () => this.#reach(ends),
    });
  }

  /** It is to run again once the next control plane is told: until then nobody starts it. */
  async #desireStopped(observed: ObservedResource, signal: AbortSignal): Promise<void> {
    await this.#planned.operation.desirePersistently(
      { stopped: [instanceIdOf(observed)] },
      { progress: this.#sink },
      signal,
    );
  }

  /** Whatever there was to do: the control plane knows it in the end, and all of it is there. */
  async finish(): Promise<void> {
    const { context, access, plan, wanted, kept, options, done } = this.#planned;
    await this.#tellOnce();
    // Whoever took the pipeline down meanwhile took its control plane along.
    await this.#reach(this.#until);
    refuseTakenDown(plan, await wanted.driver.observe(plan.pipeline, this.#until));
    const carriedOut = { wanted, kept, only: options.only };
    done.kept = await keepCarriedOut(context, access, carriedOut, this.#until, (given) => {
      done.given = given;
    });
  }

  #tellOnce(): Promise<void> {
    this.#told ??= this.#tell();
    return this.#told;
  }

  /** Makes the plan the desired state. */
  async #tell(): Promise<void> {
    const { access, before, observed, operation, plan, spec, asked, done } = this.#planned;
    done.completedBefore = await completedBefore(before, access, this.#until);
    // One that has just become healthy may not answer yet.
    await this.#reach(this.#until);
    // What was down is started anew: there is nothing that it could go back to.
    if (!observed.some(({ kind }) => kind === "component")) await forgetKept(access, this.#until);
    await this.#ask((client, inner) => client.applyPipeline(spec, inner, { ...asked, operation: operation.number }));
    done.changed = true;
    const patience = { whileAbsent: true, progress: this.#sink };
    await operation.desirePersistently(desiredBy(plan), patience, this.#until);
  }

  /** Asks the control plane, once what is in the way has left. */
  async #ask(what: Parameters<ControlPlaneAccess["persistently"]>[2]): Promise<void> {
    const { access, context } = this.#planned;
    await this.#reach(this.#until);
    await onceLeft(context.deps.clock, this.#sink, this.#until, () =>
      access.persistently(CONTROL_PLANE_GRACE, this.#until, what),
    );
  }

  /**
   * Takes the hold again where it was lost with the control plane, which is waited for and brought back. Rejects with
   * `cli/taken-down` where that is because the pipeline is gone, and with `control/changed-since` when another command has
   * changed it meanwhile.
   */
  async #reach(signal: AbortSignal): Promise<void> {
    const { operation, plan, wanted } = this.#planned;
    try {
      await operation.holdPersistently({ whileAbsent: true, progress: this.#sink }, signal);
      this.#onHeld();
    } catch (error) {
      if (!isAway(error)) throw error;
      // What is yet to be made is not gone: only where there is no control plane at all somebody took it.
      const left = await wanted.driver.observe(plan.pipeline, signal);
      if (!left.some(({ kind }) => kind === "control-plane")) refuseTakenDown(plan, left);
      throw error;
    }
  }
}

/** Where no control plane came up, what it said last tells more than that. */
async function whyAway(error: unknown, driver: Driver, pipeline: string, signal: AbortSignal): Promise<unknown> {
  if (!hasCode(error, NO_CONTROL_PLANE) && !hasCode(error, "planner/prerequisite-failed")) return error;
  return (await failureOfControlPlane(driver, pipeline, signal).catch(() => undefined)) ?? error;
}
