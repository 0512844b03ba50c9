import type { Driver, ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import { hasCode } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { executePlan } from "../../planner/execute.ts";
import { instanceIdOf, type Plan, type PlanStep, resourceOf } from "../../planner/plan.ts";
import { planUp } from "../../planner/plan-up.ts";
import type { KeptPipeline, PipelineRecord, PipelineSpec } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { ControlPlaneAccess, NO_CONTROL_PLANE } from "../control-plane-access.ts";
import type { Holding } from "../holdings.ts";
import { pipelineSpec } from "../pipeline-spec.ts";
import type { ChangeOptions, Done, PreparedUp, Wanted } from "./change.ts";
import { completedBefore } from "./completed-before.ts";
import { desiredBy } from "./desired-by-plan.ts";
import { refuseTakenDown } from "./going.ts";
import { holdForPlan } from "./hold-for-plan.ts";
import { forgetKept, keepCarriedOut, keptBefore } from "./keeping.ts";
import { lastWordsOfControlPlane } from "./last-words.ts";
import { liveChanges } from "./live-changes.ts";
import { PipelineOperation } from "./operation.ts";
import { refusalOf } from "./refusal.ts";
import { sourceNotes } from "./source-notes.ts";
import { removedSinks, stopRemovedSinks } from "./stop-removed-sinks.ts";
import { onceLeft, untilLeft } from "./until-left.ts";

/** How long a control plane that has just become healthy may still not answer, in milliseconds. */
const CONTROL_PLANE_GRACE = 30_000;

/** Compares what is wanted of a pipeline with what runs, and takes hold of the operation. Changes nothing that runs. */
export async function planChange(context: CommandContext, wanted: Wanted, options: ChangeOptions): Promise<PreparedUp> {
  const place = { driver: wanted.driver, pipeline: wanted.deployment.pipeline.name };
  return planOnceHeld(context, place, async () => wanted, options);
}

/** The same with what follows from what runs: `wantedFrom` is called once nobody else changes it, with what is kept of it. */
export async function planOnceHeld(
  context: CommandContext,
  place: Holding,
  wantedFrom: (kept: KeptPipeline | undefined) => Promise<Wanted>,
  options: ChangeOptions,
): Promise<PreparedUp> {
  const { deps, output, signal } = context;
  const { driver } = place;
  const access = new ControlPlaneAccess(deps, driver, place.pipeline);
  const operation = new PipelineOperation(deps, driver, place.pipeline, options.command ?? "flowctl up");
  try {
    const lookedAt = deps.clock.now();
    // From here on nobody else changes what is looked at. Where nobody could be asked for that, it is noticed before anything is told.
    const before = await holdForPlan({ access, driver, deps, operation }, place.pipeline, options.dryRun, signal);
    operation.plannedAt(lookedAt);
    if (access.hanging !== undefined) output.warn(`${access.hanging.message}; it is restarted`);
    const kept = before === undefined || options.dryRun ? undefined : await keptBefore(access, signal);
    const wanted = await wantedFrom(kept);
    const { deployment, desired } = wanted;
    const { pipeline } = deployment;
    const seen = await driver.observe(pipeline.name, signal);
    const observed = access.hanging === undefined ? seen : seen.map(asHanging);
    const file = pipelineSpec(pipeline, driver.name, desired);
    const spec = specToApply(file, before?.spec, options.only);
    const planned = planUp(pipeline.name, desired, observed, {
      forceRecreate: options.forceRecreate,
      stopped: stoppedInstances(observed, before),
      restartWith: restartsWith(pipeline),
      live: liveChanges(before?.spec, spec),
      keepExisting: options.keepExisting ?? false,
      ...(options.only === undefined ? {} : { only: options.only }),
    });
    const { discard, goingBack } = options;
    const plan = { ...planned, notes: [...planned.notes, ...sourceNotes(pipeline, before, await deps.catalog())] };
    const asked = { discard, goingBack, ...instancesOf(planned, observed) };
    const isRefused = options.dryRun && before !== undefined;
    const refusal = isRefused ? await refusalOf(access, spec, asked, signal) : undefined;
    const done: Done = { changed: false };
    const execute: PreparedUp["execute"] = async (sink, until) => {
      const tell = async (): Promise<void> => {
        done.completedBefore = await completedBefore(before, access, until);
        // One that has just become healthy may not answer yet.
        await operation.holdPersistently({ whileAbsent: true, progress: sink }, until);
        // What was down is started anew: there is nothing that it could go back to.
        if (!observed.some(({ kind }) => kind === "component")) await forgetKept(access, until);
        const applyOptions = { ...asked, operation: operation.number };
        await onceLeft(deps.clock, sink, until, () =>
          access.persistently(CONTROL_PLANE_GRACE, until, (client, inner) =>
            client.applyPipeline(spec, inner, applyOptions),
          ),
        );
        done.changed = true;
        await operation.desire(desiredBy(plan), until);
      };
      let told: Promise<void> | undefined;
      let toldBefore: Promise<void> | undefined;
      const beforeStep = async (step: PlanStep, ends: AbortSignal): Promise<void> => {
        const { change } = step;
        done.changed = true;
        if (resourceOf(change).kind !== "component") return;
        // What is removed may go before the control plane is there, or there anew.
        if (change.action === "remove") toldBefore ??= before === undefined ? Promise.resolve() : (told ?? tell());
        else told ??= tell();
        await (change.action === "remove" ? toldBefore : told);
        if (before !== undefined)
          await untilLeft(step, access, { clock: deps.clock, progress: sink, signal: ends, discard: discard ?? false });
      };
      try {
        // A control plane that runs learns of the change before anything else happens: it may refuse it.
        if (before !== undefined) {
          const sinks = removedSinks(plan, before.spec, spec);
          if (sinks.length > 0) {
            // Nothing is stopped for a change that is refused.
            await operation.holdPersistently({ whileAbsent: true, progress: sink }, until);
            await onceLeft(deps.clock, sink, until, () =>
              access.persistently(CONTROL_PLANE_GRACE, until, (client, inner) =>
                client.checkPipeline(spec, inner, asked),
              ),
            );
            done.changed = true;
            await stopRemovedSinks(plan, sinks, { driver, operation, progress: sink, signal: until });
          }
          toldBefore = tell();
          await toldBefore;
          // One that is about to be replaced is told again what the first forgets: who holds the operation.
          const goesOn = !plan.steps.some(({ change }) => resourceOf(change).kind === "control-plane");
          if (goesOn) told = toldBefore;
        }
        const signal = AbortSignal.any([until, operation.takenOver]);
        const hurry = deps.interrupts.second;
        await executePlan(plan, { driver, deployment, clock: deps.clock, signal, hurry, progress: sink, beforeStep });
        told ??= tell();
        await told;
        // Whoever took the pipeline down meanwhile took its control plane along.
        await operation.holdPersistently({ whileAbsent: true, progress: sink }, until);
        refuseTakenDown(plan, await driver.observe(pipeline.name, until));
        done.kept = await keepCarriedOut(context, access, { wanted, kept, only: options.only }, until);
      } catch (error) {
        throw wanted.placed(await whyAway(error, driver, pipeline.name, until));
      } finally {
        operation.release();
      }
    };
    const release = (): void => operation.release();
    return {
      ...{ pipeline, driver, plan, observed, before, keptBefore: kept, execute, done, access, release },
      ...(refusal === undefined ? {} : { refusal: wanted.placed(refusal) }),
    };
  } catch (error) {
    operation.release();
    access.close();
    throw error;
  }
}

/** What the control plane cannot know of instances: which there are, and which are about to be replaced. */
function instancesOf(plan: Plan, observed: readonly ObservedResource[]) {
  const components = observed.filter(({ kind }) => kind === "component");
  const replaced = plan.steps.filter(
    ({ change }) => change.action === "replace" && resourceOf(change).kind === "component",
  );
  return {
    existing: components.map((resource) => instanceIdOf(resource)),
    replaced: replaced.map(({ change }) => instanceIdOf(resourceOf(change))),
  };
}

/** Where no control plane came up, what it said last tells more than that. */
async function whyAway(error: unknown, driver: Driver, pipeline: string, signal: AbortSignal): Promise<unknown> {
  if (!hasCode(error, NO_CONTROL_PLANE) && !hasCode(error, "planner/prerequisite-failed")) return error;
  return (await lastWordsOfControlPlane(driver, pipeline, signal).catch(() => undefined)) ?? error;
}

/** With `only`, what runs stays as it was applied, whatever the file says by now, but for the numbers of those components. */
function specToApply(
  file: PipelineSpec,
  applied: PipelineSpec | undefined,
  only: ReadonlySet<string> | undefined,
): PipelineSpec {
  if (only === undefined || applied === undefined) return file;
  const wanted = new Map(file.components.map((component) => [component.id, component]));
  return {
    ...applied,
    components: applied.components.map((component) => {
      const { replicas, instanceIds } = wanted.get(component.id) ?? component;
      if (!only.has(component.id)) return component;
      return { ...component, replicas, ...(instanceIds === undefined ? {} : { instanceIds }) };
    }),
  };
}

/** A driver may take a control plane that hangs for healthy for a while. */
function asHanging(resource: ObservedResource): ObservedResource {
  if (resource.kind !== "control-plane" || resource.state.status !== "running") return resource;
  return { ...resource, state: { ...resource.state, health: "unhealthy" } };
}

/** Who is to be restarted together with whom, as `depends_on.restart` says. */
function restartsWith(pipeline: Pipeline): ReadonlyMap<string, readonly string[]> {
  const all = [...pipeline.components, ...pipeline.services];
  return new Map(
    all.map(({ id, dependsOn }) => [id, Object.keys(dependsOn).filter((other) => dependsOn[other]?.restart === true)]),
  );
}

/**
 * Instances that exited with 0 although the control plane does not have them as completed: they were stopped. With no
 * control plane to ask every one counts as stopped: a source that had ended finds nothing new, and ends again.
 */
function stoppedInstances(
  observed: readonly ObservedResource[],
  record: PipelineRecord | undefined,
): ReadonlySet<ResourceKey> {
  const completed = new Set(
    record?.components
      .flatMap(({ instances }) => instances.filter(({ state }) => state === "completed"))
      .map(({ id }) => id),
  );
  return new Set(
    observed
      .filter(({ kind, state }) => kind === "component" && state.status === "exited" && state.exitCode === 0)
      .filter((resource) => !completed.has(instanceIdOf(resource)))
      .map(({ key }) => key),
  );
}
