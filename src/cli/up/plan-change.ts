import type { ObservedResource, ProgressEvent, ResourceKey } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import { instanceIdOf, type Plan, resourceOf } from "../../planner/plan.ts";
import { planUp } from "../../planner/plan-up.ts";
import type { KeptPipeline, PipelineRecord, PipelineSpec } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import type { ExistingPipeline } from "../existing-pipelines.ts";
import { pipelineSpec } from "../pipeline-spec.ts";
import { carryOut } from "./carry-out.ts";
import type { ChangeOptions, Done, PreparedUp, Wanted } from "./change.ts";
import { holdForPlan } from "./hold-for-plan.ts";
import { keptBefore } from "./keeping.ts";
import { liveChanges } from "./live-changes.ts";
import { PipelineOperation } from "./operation.ts";
import { refusalOf } from "./refusal.ts";
import { sourceNotes } from "./source-notes.ts";
import { depthsOf } from "./wind-down.ts";

/** Compares what is wanted of a pipeline with what runs, and takes hold of the operation. Changes nothing that runs. */
export async function planChange(context: CommandContext, wanted: Wanted, options: ChangeOptions): Promise<PreparedUp> {
  const place = { driver: wanted.driver, pipeline: wanted.deployment.pipeline.name };
  return planOnceHeld(context, place, async () => wanted, options);
}

/** The same with what follows from what runs: `wantedFrom` is called once nobody else changes it, with what is kept of it. */
export async function planOnceHeld(
  context: CommandContext,
  place: ExistingPipeline,
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
    const by = {
      access,
      driver,
      deps,
      operation,
      progress: ({ subject, text }: ProgressEvent) => output.say(`${subject} ${text}`),
    };
    const how = { dryRun: options.dryRun, known: options.keepExisting ?? false };
    const { before, away } = await holdForPlan(by, place.pipeline, how, signal);
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
      depths: depthsOf(pipeline, undefined),
      live: liveChanges(before?.spec, spec),
      keepExisting: options.keepExisting ?? false,
      ...(options.only === undefined ? {} : { only: options.only }),
    });
    if (away !== undefined && !options.discard) keepWhatIsHeld(planned, away);
    const { discard, goingBack } = options;
    const plan = { ...planned, notes: [...planned.notes, ...sourceNotes(pipeline, before, await deps.catalog())] };
    const asked = { discard, goingBack, ...instancesOf(planned, observed) };
    const isRefused = options.dryRun && before !== undefined;
    const refusal = isRefused ? await refusalOf(access, spec, asked, signal) : undefined;
    const done: Done = { changed: false };
    const execute = carryOut({
      context,
      access,
      operation,
      wanted,
      plan,
      observed,
      before,
      kept,
      spec,
      asked,
      done,
      options,
    });
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

/** Refuses to remove components that nobody can tell to hand on what they hold first. */
function keepWhatIsHeld({ steps, pipeline }: Plan, away: FlowctlError): void {
  const removed = steps
    .filter(({ change }) => change.action === "remove" && resourceOf(change).kind === "component")
    .map(({ change }) => instanceIdOf(resourceOf(change)));
  if (removed.length === 0) return;
  const bringBack = away.fix ?? `Bring it back, as with \`flowctl up\` of a file that removes nothing`;
  throw new FlowctlError({
    code: away.code,
    kind: away.kind,
    message: `Nothing was changed: ${removed.join(", ")} cannot deliver the events they hold without the control plane. ${away.message}`,
    fix: `${bringBack}; or discard those events with \`flowctl up -p ${pipeline} --discard\``,
    cause: away,
  });
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
