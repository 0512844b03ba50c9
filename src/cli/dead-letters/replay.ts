import { appendFile, chown, open, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ControlPlaneClient } from "../../client/client.ts";
import type { Deployment, Driver } from "../../drivers/driver.ts";
import { marksPathOf, readMarks } from "../../event-files/replay-marks.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import { executePlan } from "../../planner/execute.ts";
import { planDown } from "../../planner/plan-lifecycle.ts";
import { planUp } from "../../planner/plan-up.ts";
import type { PipelineRecord, PipelineSpec } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import type { ProgressRenderer } from "../display/progress-renderer.ts";
import { pipelineSpec } from "../pipeline-spec.ts";
import { PipelineOperation } from "../up/operation.ts";
import { watchPipeline } from "../up/watch-pipeline.ts";
import { type LetterSink, storedLetters } from "./letter-files.ts";
import { isSelection, onlyReplay, replayId, replaySource, withReplay } from "./replay-source.ts";
import { isUp, replaysOf, runningPipeline, targetOf } from "./running-pipeline.ts";

/** Letters of one sink that go to one component. */
export interface ReplayBatch {
  readonly component: string;
  readonly sink: LetterSink;
  /** Of the letters. */
  readonly keys: ReadonlySet<string>;
}

export interface Replayed {
  readonly component: string;
  readonly sink: string;
  /** Id of the source that sent them: dead letters that name it as their upstream have failed again. */
  readonly source: string;
  /** Letters that are acknowledged and marked now. */
  readonly replayed: number;
}

interface World {
  readonly context: CommandContext;
  readonly driver: Driver;
  readonly access: ControlPlaneAccess;
  readonly progress: ProgressRenderer;
}

const COMMAND = "flowctl dead-letters replay";

/** How long the control plane may be away at the end, until the replay is left to the next `up` to remove. */
const RESTORE_WITHIN = 30_000;

/**
 * Sends letters to the component that gave them up: puts a source in front of it that holds them, waits until all are
 * acknowledged, and takes the source away again, whatever happens. Everything else of the pipeline goes on.
 */
export async function replay(world: World, file: Pipeline, batch: ReplayBatch): Promise<Replayed> {
  const { context, driver } = world;
  const { deps, signal } = context;
  const operation = new PipelineOperation(deps, driver, file.name, COMMAND);
  await operation.hold({ takeOver: false }, signal);
  try {
    return await replayHeld(world, file, batch, operation);
  } finally {
    operation.release();
  }
}

async function replayHeld(
  world: World,
  file: Pipeline,
  batch: ReplayBatch,
  operation: PipelineOperation,
): Promise<Replayed> {
  const { context, driver, access } = world;
  const { deps, signal } = context;
  const { pipeline, replays } = await runningPipeline(context, file, driver, access);
  // What a flowctl that was killed in the middle of a replay left behind.
  await removeReplays(world, pipeline.name, (owner) => replays.has(owner));
  await removeSelections(batch.sink);
  const target = targetOf(pipeline, batch.component, await driver.observe(pipeline.name, signal));
  const id = replayId(target.id, deps.clock.now());
  const selection = join(dirname(batch.sink.path), `${selectionPrefix(batch.sink)}${id}`);
  const marks = marksPathOf(batch.sink.path);
  const release = deps.interrupts.answerSecond();
  try {
    await writeSelection(selection, batch, signal);
    await appendFile(marks, "");
    await giveToOwner([selection, marks]);
    await send(world, pipeline, replaySource(id, batch.sink, selection, target), target, operation);
  } finally {
    try {
      await restore(world, pipeline, id);
    } finally {
      await rm(selection, { force: true });
      release();
    }
  }
  const marked = await readMarks(marks);
  const replayed = [...batch.keys].filter((key) => marked.has(key)).length;
  return { component: target.id, sink: batch.sink.id, source: id, replayed };
}

/** Takes away what a flowctl that was killed in the middle of a replay left, once that has ended. */
export async function removeLeftReplays(world: World, file: Pipeline, sinks: readonly LetterSink[]): Promise<void> {
  const { context, driver, access } = world;
  const observed = await driver.observe(file.name, context.signal);
  const record = await access.record(context.signal);
  const replays = record === undefined ? new Set<string>() : replaysOf(record);
  const left = observed.filter(({ kind, owner }) => kind === "component" && replays.has(owner));
  if (replays.size === 0 || left.some(({ state }) => isUp(state))) return;
  const { pipeline } = await runningPipeline(context, file, driver, access);
  for (const owner of replays) await restore(world, pipeline, owner);
  for (const sink of sinks) await removeSelections(sink);
}

async function send(
  world: World,
  pipeline: Pipeline,
  source: Component,
  target: Component,
  operation: PipelineOperation,
): Promise<void> {
  const { context, driver, access, progress } = world;
  const { deps, settings, signal } = context;
  const deployment: Deployment = {
    pipeline: onlyReplay(pipeline, source),
    secretValues: new Map(),
    configValues: new Map(),
    options: { persistence: settings.persistence, logLevel: settings.logLevel },
  };
  const desired = await driver.prepare(deployment, { signal, progress: progress.sink, build: false, dryRun: false });
  const observed = await driver.observe(pipeline.name, signal);
  const plan = planUp(pipeline.name, desired, observed, { only: new Set([source.id]) });
  const { components, ...rest } = pipelineSpec(withReplay(pipeline, source, target.id), driver.name, [
    ...observed,
    ...desired,
  ]);
  const spec: PipelineSpec = {
    ...rest,
    components: components.map((one) => (one.id === source.id ? { ...one, temporary: true } : one)),
  };
  await access.call(signal, (client, inner) => applyBesides(client, spec, inner));
  await executePlan(plan, { driver, deployment, clock: deps.clock, signal, progress: progress.sink });
  // Others may change the pipeline while the letters are being taken.
  operation.release();
  progress.sink({ subject: `component/${target.id}`, status: "working", text: "Receiving dead letters" });
  await watchPipeline(
    {
      access,
      clock: deps.clock,
      signal,
      exists: async () => (await driver.observe(pipeline.name, signal)).some(({ owner }) => owner === source.id),
    },
    (record) => verdictOf(record, source.id, target.id),
  );
  progress.sink({ subject: `component/${target.id}`, status: "done", text: "Received dead letters" });
}

/** True once every event is acknowledged; throws when that can no longer come about. */
function verdictOf(record: PipelineRecord, source: string, target: string): true | undefined {
  const instancesOf = (id: string) => record.components.find((component) => component.id === id)?.instances ?? [];
  const [sender] = instancesOf(source);
  if (sender?.state === "completed") return true;
  const takers = instancesOf(target);
  const ended = takers.length > 0 && takers.every(({ state }) => state === "completed" || state === "failed");
  if (sender?.state !== "failed" && !ended) return undefined;
  const [culprit, who] = ended ? [takers[0], target] : [sender, source];
  throw new FlowctlError({
    code: "cli/replay-failed",
    kind: "failed",
    message: `${who} ${culprit?.state ?? "ended"} before it had received every event${culprit?.reason ? `: ${culprit.reason}` : ""}`,
    fix: `See \`flowctl logs ${who}\`; acknowledged events are marked, and the rest can be replayed again`,
  });
}

/** The pipeline as it was: without the source, and with the topology of the file. */
async function restore(world: World, pipeline: Pipeline, id: string): Promise<void> {
  const { context, driver, access } = world;
  const { deps } = context;
  const never = new AbortController().signal;
  const operation = new PipelineOperation(deps, driver, pipeline.name, COMMAND);
  try {
    await holdPatiently(operation, deps.clock, never);
    // First it is not wanted any more, so that its end is no crash.
    await access.persistently(RESTORE_WITHIN, never, async (client, inner) => {
      // Whoever changed the pipeline meanwhile may have taken it out, and what else they changed stays as it is.
      const { spec } = await client.getPipeline(inner);
      if (spec?.components.some((component) => component.id === id))
        await applyBesides(client, without(spec, id), inner);
    });
  } finally {
    try {
      await removeReplays(world, pipeline.name, (owner) => owner === id);
    } finally {
      operation.release();
    }
  }
}

/** A replay is no change of the pipeline: what is kept of how that was applied stays. */
async function applyBesides(client: ControlPlaneClient, spec: PipelineSpec, signal: AbortSignal): Promise<void> {
  await client.applyPipeline(spec, signal, { besides: true });
}

function without(spec: PipelineSpec, id: string): PipelineSpec {
  const components = spec.components
    .filter((component) => component.id !== id)
    .map((component) => ({ ...component, inputs: component.inputs.filter(({ from }) => from !== id) }));
  return { ...spec, components };
}

/** Waits for another command to be done, but not for ever: the source of the replay has to go. */
async function holdPatiently(
  operation: PipelineOperation,
  clock: CommandContext["deps"]["clock"],
  signal: AbortSignal,
): Promise<void> {
  for (const end = clock.elapsed() + RESTORE_WITHIN; ; await clock.sleep(200, signal)) {
    try {
      await operation.hold({ takeOver: clock.elapsed() >= end }, signal);
      return;
    } catch (error) {
      if (!hasCode(error, "control/operation-under-way")) throw error;
    }
  }
}

async function removeReplays(world: World, pipeline: string, isMeant: (owner: string) => boolean): Promise<void> {
  const { context, driver, progress } = world;
  const never = new AbortController().signal;
  const observed = (await driver.observe(pipeline, never)).filter(({ kind, owner }) => {
    if (kind === "component") return isMeant(owner);
    return kind === "volume" && isMeant(owner.replace(/^flowctl_state_/, "").replace(/-\d+$/, ""));
  });
  const plan = planDown(pipeline, observed, { volumes: true });
  await executePlan(plan, { driver, clock: context.deps.clock, signal: never, progress: progress.sink });
}

/** The lines of the letters themselves: there may be more of them than fit into an environment, or into memory. */
async function writeSelection(
  path: string,
  { component, sink, keys }: ReplayBatch,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(path, "w");
  try {
    for await (const { letter, line } of storedLetters([sink], { component }, signal)) {
      if (keys.has(letter.key)) await file.appendFile(`${line}\n`);
    }
  } finally {
    await file.close();
  }
}

function selectionPrefix({ path }: LetterSink): string {
  return `.${basename(path).replaceAll("{instance}", "all")}.`;
}

async function removeSelections(sink: LetterSink): Promise<void> {
  const folder = dirname(sink.path);
  for (const name of await readdir(folder)) {
    if (name.startsWith(selectionPrefix(sink)) && isSelection(name)) await rm(join(folder, name), { force: true });
  }
}

/** A container reads and writes them as the owner of their folder. */
async function giveToOwner(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const [file, folder] = await Promise.all([stat(path), stat(dirname(path))]);
    if (file.uid === folder.uid) continue;
    // Only root can, and only root needs it: everyone else owns what they have made.
    await chown(path, folder.uid, folder.gid).catch(() => undefined);
  }
}
