import type { DesiredResource, Driver, ObservedResource, ProgressSink, ResourceKey } from "../../drivers/driver.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { closest } from "../../pipeline/did-you-mean.ts";
import type { DriverName, Pipeline } from "../../pipeline/pipeline.ts";
import { projectFolder } from "../../pipeline/project-folder.ts";
import { executePlan } from "../../planner/execute.ts";
import { instanceIdOf, type Plan, type PlanStep, resourceOf } from "../../planner/plan.ts";
import { planUp } from "../../planner/plan-up.ts";
import type { PipelineRecord, PipelineSpec } from "../../protocol/records.ts";
import { chooseDriver } from "../choose-driver.ts";
import type { CommandContext } from "../command.ts";
import { ControlPlaneAccess, NO_CONTROL_PLANE } from "../control-plane-access.ts";
import { resolveDeployment } from "../deployment.ts";
import { loadWithPlaces, withEnvFile, withPlace } from "../load.ts";
import { pipelineSpec } from "../pipeline-spec.ts";
import { type Home, homesOf, refuseOtherFolder } from "../project.ts";
import { availableDrivers } from "../target.ts";
import { completedBefore } from "./completed-before.ts";
import { desiredBy } from "./desired-by-plan.ts";
import { refuseTakenDown, untilNotGoing } from "./going.ts";
import { lastWordsOfControlPlane } from "./last-words.ts";
import { liveChanges } from "./live-changes.ts";
import { PipelineOperation } from "./operation.ts";
import { recordBefore } from "./record-before.ts";
import { refusalNotes } from "./refusal-notes.ts";
import { sourceNotes } from "./source-notes.ts";
import { onceLeft, untilLeft } from "./until-left.ts";

export interface BringUpOptions {
  readonly build: boolean;
  readonly dryRun: boolean;
  readonly forceRecreate: boolean;
  readonly scale: Readonly<Record<string, number>>;
  /** Plan for these components alone. */
  readonly only?: ReadonlySet<string>;
  /** What is being done, for whoever else wants to change the pipeline; default `flowctl up`. */
  readonly command?: string;
  /** Give up what removed components hold and cannot hand on. */
  readonly discard?: boolean;
}

/** What is about to be done to make a pipeline run. */
export interface PreparedUp {
  readonly pipeline: Pipeline;
  readonly driver: Driver;
  readonly plan: Plan;
  readonly observed: readonly ObservedResource[];
  /** As the control plane saw it before; undefined when none answered. */
  readonly before: PipelineRecord | undefined;
  /**
   * Makes the plan the control plane's desired state and carries it out, then lets other commands change the pipeline.
   * Rejects with `control/operation-taken-over` when another one has taken over meanwhile. Call it once.
   */
  execute(progress: ProgressSink, signal: AbortSignal): Promise<void>;
  /** When the run before completed, in Unix milliseconds; known once `execute` has resolved. */
  completedBefore(): number | undefined;
  /** Lets other commands change the pipeline; for what is not executed. */
  release(): void;
  readonly access: ControlPlaneAccess;
}

/** How long a control plane that has just become healthy may still not answer, in milliseconds. */
const CONTROL_PLANE_GRACE = 30_000;

/**
 * From the file to a plan: loads it, chooses the driver, resolves secrets, pulls and builds, and compares with what
 * runs. Changes nothing that runs.
 */
export async function prepareUp(
  context: CommandContext,
  files: readonly string[],
  options: BringUpOptions,
): Promise<PreparedUp> {
  const { deps, settings, output, signal } = context;
  const loaded = await loadWithPlaces(context, files, options.scale);
  const { pipeline } = loaded;
  refuseUnknown(pipeline, Object.keys(options.scale));
  if (!options.dryRun) await untilNotGoing(context, pipeline.name);
  const homes = await homesAnywhere(context, pipeline.name);
  const home = homes[0]?.driver.name;
  // What runs stays where it runs, as long as nobody says otherwise.
  const unsaid = settings.driver === undefined && pipeline.driver === undefined;
  const stay = { ...settings, driver: home, driverFrom: "the running pipeline" };
  const { driver, why } = await chooseDriver(pipeline, unsaid && home !== undefined ? stay : settings, deps, signal);
  refuseOtherHome(context, pipeline, driver.name, homes);
  output.say(`${output.paintError.bold(pipeline.name)} on ${driver.name} ${output.paintError.dim(`(${why})`)}`);
  const deployment = await resolveDeployment(pipeline, await withEnvFile(context, pipeline), {
    persistence: settings.persistence,
    logLevel: settings.logLevel,
  });

  const progress = await context.progress();
  let desired: readonly DesiredResource[];
  try {
    const { build, dryRun } = options;
    desired = await driver.prepare(deployment, { signal, progress: progress.sink, build, dryRun });
  } catch (error) {
    throw withPlace(error, loaded.positionOf);
  } finally {
    progress.stop();
  }
  const access = new ControlPlaneAccess(deps, driver, pipeline.name);
  const operation = new PipelineOperation(deps, driver, pipeline.name, options.command ?? "flowctl up");
  try {
    const before = await recordBefore(access, await driver.observe(pipeline.name, signal), deps.clock, signal);
    if (access.hanging !== undefined) output.warn(`${access.hanging.message}; it is restarted`);
    // From here on nobody else changes what is looked at.
    if (before !== undefined && !options.dryRun) await operation.hold({ takeOver: false }, signal);
    const seen = await driver.observe(pipeline.name, signal);
    const observed = access.hanging === undefined ? seen : seen.map(asHanging);
    const file = pipelineSpec(pipeline, driver.name, desired);
    const spec = specToApply(file, before?.spec, options.only);
    const planned = planUp(pipeline.name, desired, observed, {
      forceRecreate: options.forceRecreate,
      stopped: stoppedInstances(observed, before),
      restartWith: restartsWith(pipeline),
      live: liveChanges(before?.spec, spec),
      ...(options.only === undefined ? {} : { only: options.only }),
    });
    const notes = [...planned.notes, ...sourceNotes(pipeline, before, await deps.catalog())];
    if (options.dryRun && before !== undefined) {
      const asked = { discard: options.discard, ...instancesOf(planned, observed) };
      notes.push(...(await refusalNotes(access, spec, asked, signal)));
    }
    const plan = { ...planned, notes };
    let completed: number | undefined;
    const execute: PreparedUp["execute"] = async (sink, until) => {
      const tell = async (): Promise<void> => {
        completed = await completedBefore(before, access, until);
        // One that has just become healthy may not answer yet.
        await operation.holdPersistently(until);
        const { number } = operation;
        const applyOptions = { discard: options.discard, operation: number, ...instancesOf(plan, observed) };
        await onceLeft(deps.clock, sink, until, () =>
          access.persistently(CONTROL_PLANE_GRACE, until, (client, inner) =>
            client.applyPipeline(spec, inner, applyOptions),
          ),
        );
        await operation.desire(desiredBy(plan), until);
      };
      let told: Promise<void> | undefined;
      let toldBefore: Promise<void> | undefined;
      const beforeStep = async (step: PlanStep, ends: AbortSignal): Promise<void> => {
        const { change } = step;
        if (resourceOf(change).kind !== "component") return;
        // What is removed may go before the control plane is there, or there anew.
        if (change.action === "remove") toldBefore ??= before === undefined ? Promise.resolve() : (told ?? tell());
        else told ??= tell();
        await (change.action === "remove" ? toldBefore : told);
        const discard = options.discard ?? false;
        if (before !== undefined)
          await untilLeft(step, access, { clock: deps.clock, progress: sink, signal: ends, discard });
      };
      try {
        // A control plane that runs learns of the change before anything else happens: it may refuse it.
        if (before !== undefined) {
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
        await operation.holdPersistently(until);
        refuseTakenDown(plan, await driver.observe(pipeline.name, until));
      } catch (error) {
        throw withPlace(await whyAway(error, driver, pipeline.name, until), loaded.positionOf);
      } finally {
        operation.release();
      }
    };
    const release = (): void => operation.release();
    return { pipeline, driver, plan, observed, before, execute, completedBefore: () => completed, access, release };
  } catch (error) {
    operation.release();
    access.close();
    throw error;
  }
}

/** Where no control plane came up, what it said last tells more than that. */
async function whyAway(error: unknown, driver: Driver, pipeline: string, signal: AbortSignal): Promise<unknown> {
  if (!hasCode(error, NO_CONTROL_PLANE) && !hasCode(error, "planner/prerequisite-failed")) return error;
  return (await lastWordsOfControlPlane(driver, pipeline, signal).catch(() => undefined)) ?? error;
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

/** Throws `cli/unknown-component` for an id that no component of the pipeline has. */
export function refuseUnknown(pipeline: Pipeline, wanted: readonly string[]): void {
  const ids = pipeline.components.map(({ id }) => id);
  const unknown = wanted.find((id) => !ids.includes(id));
  if (unknown === undefined) return;
  const near = closest(unknown, ids);
  throw new FlowctlError({
    code: "cli/unknown-component",
    kind: "not-found",
    message: `${pipeline.name} has no component ${JSON.stringify(unknown)}`,
    fix: near === undefined ? `Use one of ${ids.join(", ")}` : `Did you mean ${near}?`,
  });
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

/** What there is of a pipeline on every driver that answers, whatever the settings say. */
async function homesAnywhere(context: CommandContext, name: string): Promise<readonly Home[]> {
  const anyDriver = { ...context, settings: { ...context.settings, driver: undefined } };
  return homesOf(name, await availableDrivers(anyDriver), context.signal);
}

/** Throws when the pipeline belongs to another folder, or is up on another driver; says what else there is of it. */
function refuseOtherHome(
  { output }: CommandContext,
  pipeline: Pipeline,
  chosen: DriverName,
  homes: readonly Home[],
): void {
  const { name } = pipeline;
  for (const { driver, observed, isUp } of homes) {
    const isOther = driver.name !== chosen;
    if (isOther && !isUp) {
      const remove = `flowctl down -v -p ${name} --driver ${driver.name}`;
      output.say(`What an earlier run stored on ${driver.name} is not used here; \`${remove}\` removes it`);
      continue;
    }
    const abandoned = refuseOtherFolder(name, projectFolder(pipeline), observed);
    if (abandoned !== undefined) output.say(`Takes over what was stored from ${abandoned}, which is gone`);
    if (!isOther) continue;
    throw new FlowctlError({
      code: "cli/runs-elsewhere",
      kind: "conflict",
      message: `${name} exists on ${driver.name} already`,
      fix: `Take it down first with \`flowctl down -p ${name} --driver ${driver.name}\`, or give this one another name with -p`,
    });
  }
}
