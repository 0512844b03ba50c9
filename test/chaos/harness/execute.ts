import { commandScale, commandUp, interruptedUp, killedUp, settleUp, upAgainstDown, upTwice } from "./commands.ts";
import type { Config } from "./config.ts";
import { applyEdit } from "./edits.ts";
import { freeze, kill } from "./processes.ts";
import { CONTROL_PLANE, type EditedHow, kindOf, type Step } from "./steps.ts";
import type { World } from "./world.ts";

/** What became of a step. */
export interface Done {
  readonly step: Step;
  /** `skipped`: it did not fit any more, or there was nothing to do it to, or it was over before it could be broken off. */
  readonly outcome: "done" | "refused" | "skipped";
  /** How `up` was called after an edit: what was to be killed or interrupted and had ended before counts as once. */
  readonly how?: EditedHow;
  /**
   * Milliseconds from the fault until an event that was made after it had got through and what was killed ran again; from its end
   * where it lasts, and from the end of the command for a change. Undefined where nobody waited.
   */
  readonly recoveredMs?: number;
}

/** What a step has done. */
interface Effect extends Pick<Done, "outcome" | "how"> {
  /** When the fault took place; undefined: now, when all is over. */
  readonly at?: number;
  /** Events that were made later than that have come through it; undefined: as `at`. */
  readonly since?: number;
}

/** So long nothing may come: restarts of what has crashed again and again come this late, on a machine that is busy. */
const RECOVERY_LIMIT_MS = 90_000;

/** Does one step, sees that it took place, and, where the step says so, waits until events flow again. */
export async function execute(world: World, step: Step): Promise<Done> {
  const { outcome, how, at = Date.now(), since = at } = await act(world, step);
  const done: Done = { step, outcome, ...(how === undefined ? {} : { how }) };
  if (outcome === "skipped" || !step.settle) return done;
  const sinks = watched(world, step);
  if (sinks.length === 0) return done;
  const flows = await world.recovery(sinks, since, RECOVERY_LIMIT_MS);
  if (flows === undefined) {
    const seconds = RECOVERY_LIMIT_MS / 1000;
    world.problem("stands still", `no new event at ${sinks.join(", ")} within ${seconds} s after ${kindOf(step)}`);
    return done;
  }
  // A sibling may have let events through: what was killed has to be back itself.
  if (step.kind === "kill" && !(await isBack(world, step.instance, RECOVERY_LIMIT_MS))) {
    world.problem("stays away", `${step.instance} did not come back within ${RECOVERY_LIMIT_MS / 1000} s`);
    return done;
  }
  return { ...done, recoveredMs: step.kind === "kill" ? Date.now() - at : since - at + flows };
}

/** The sinks that tell when events flow again; none where something that is stopped may keep them from it. */
function watched(world: World, step: Step): readonly string[] {
  if (world.stopped.size > 0) return [];
  switch (step.kind) {
    case "kill":
    case "freeze":
      return world.witnesses(step.instance.replace(/-\d+$/, ""));
    case "restart":
      return world.witnesses(step.target.replace(/-\d+$/, ""));
    case "scale":
      return world.witnesses(step.id);
    case "fill-disk":
      return step.disk === "small" ? world.onSmallDisk : world.witnesses(CONTROL_PLANE);
    default:
      return world.witnesses(CONTROL_PLANE);
  }
}

async function act(world: World, step: Step): Promise<Effect> {
  switch (step.kind) {
    case "edit":
      return await edit(world, step);
    case "kill":
    case "freeze": {
      const program = await world.program(step.instance);
      if (program === undefined) return { outcome: "skipped" };
      if (step.kind === "freeze") {
        await freeze(program, step.ms);
        return { outcome: "done" };
      }
      await kill(program);
      const at = Date.now();
      if (step.instance === CONTROL_PLANE) await controlPlaneBack(world);
      return { outcome: "done", at };
    }
    case "fill-disk": {
      const disk = world.disks.get(step.disk);
      if (disk === undefined || (step.disk === "small" && world.onSmallDisk.length === 0))
        return { outcome: "skipped" };
      await disk.fill(step.ms);
      return { outcome: "done" };
    }
    case "restart-engine": {
      if (world.engine === undefined) return { outcome: "skipped" };
      const at = await world.engine.restart(step.signal);
      return { outcome: "done", at, since: Date.now() };
    }
    case "stop":
    case "start":
    case "restart":
      return { outcome: await command(world, step.kind, step.target) };
    case "scale":
      return { outcome: await scale(world, step) };
    case "up-against-down":
      await upAgainstDown(world, step.afterMs);
      return { outcome: "done" };
    case "interrupt": {
      const tookPlace = await interruptedUp(world, step.afterMs);
      await settleUp(world, world.config);
      return { outcome: tookPlace ? "done" : "skipped" };
    }
  }
}

async function edit(world: World, { edit: change, how, afterMs }: Extract<Step, { kind: "edit" }>): Promise<Effect> {
  const before = world.config;
  const next = applyEdit(before, change);
  if (next === undefined) return { outcome: "skipped" };
  await world.write(next);
  if (how === "once") return { outcome: await commandUp(world, before, next), how };
  world.history.begin(next, Date.now());
  const tookPlace = await brokenUp(world, how, afterMs);
  await settleUp(world, next);
  return { outcome: "done", how: tookPlace ? how : "once" };
}

/** `up` in one of the ways in which nobody is to call it; whether it came to that. */
async function brokenUp(world: World, how: Exclude<EditedHow, "once">, afterMs: number): Promise<boolean> {
  switch (how) {
    case "killed":
      return await killedUp(world, afterMs);
    case "interrupted":
      return await interruptedUp(world, afterMs);
    case "twice":
      await upTwice(world);
      return true;
  }
}

const exists = ({ components }: Config, target: string): boolean =>
  components[target] !== undefined || components[target.replace(/-\d+$/, "")] !== undefined;

async function command(world: World, verb: "stop" | "start" | "restart", target: string): Promise<Done["outcome"]> {
  if (!exists(world.config, target)) return "skipped";
  const { code, stderr } = await world.flowctl(verb, target);
  // An instance that the file does not have any more, or a component that has completed.
  if (code === 5 || code === 6) return "skipped";
  if (code !== 0) world.problem(`${verb} fails`, `${verb} ${target} ended with ${code}: ${stderr}`);
  if (verb === "stop") world.stopped.add(target);
  else
    for (const name of [...world.stopped])
      if (name === target || name.startsWith(`${target}-`)) world.stopped.delete(name);
  return "done";
}

async function scale(
  world: World,
  { id, replicas }: { readonly id: string; readonly replicas: number },
): Promise<Done["outcome"]> {
  const next = applyEdit(world.config, { op: "replicas", id, replicas });
  return next === undefined ? "skipped" : await commandScale(world, { id, replicas }, next);
}

const BACK_LIMIT_MS = 120_000;

/** Waits until the control plane is there again by itself; where it does not come, `up` has to bring it. */
async function controlPlaneBack(world: World): Promise<void> {
  if (await isBack(world, CONTROL_PLANE, BACK_LIMIT_MS)) return;
  world.problem("stays away", `the control plane did not come back by itself within ${BACK_LIMIT_MS / 1000} s`);
  await settleUp(world, world.config);
}

/** Waits until an instance runs; whether it came to that. */
async function isBack(world: World, instance: string, withinMs: number): Promise<boolean> {
  const end = Date.now() + withinMs;
  while (Date.now() < end) {
    if ((await world.program(instance)) !== undefined) return true;
    await new Promise((wake) => setTimeout(wake, 200));
  }
  return false;
}
