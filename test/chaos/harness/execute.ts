import { commandUp, interruptedUp, killedUp, settleUp, upAgainstDown, upTwice } from "./commands.ts";
import type { Config } from "./config.ts";
import { applyEdit } from "./edits.ts";
import { freeze, kill } from "./processes.ts";
import { CONTROL_PLANE, kindOf, type Step } from "./steps.ts";
import type { World } from "./world.ts";

/** What became of a step. */
export interface Done {
  readonly step: Step;
  /** `skipped`: it did not fit any more, or there was nothing to do it to. */
  readonly outcome: "done" | "refused" | "skipped";
  /** Milliseconds from the fault or the change until an event that was made after it had got through; undefined where nobody waited. */
  readonly recoveredMs?: number;
}

/** Restarts of what has crashed again and again come this late, on a machine that is busy. */
const RECOVERY_LIMIT_MS = 90_000;

/** Does one step, sees that it took place, and, where the step says so, waits until events flow again. */
export async function execute(world: World, step: Step): Promise<Done> {
  const began = Date.now();
  const outcome = await act(world, step);
  if (outcome === "skipped" || !step.settle) return { step, outcome };
  const since = step.kind === "kill" ? began : Date.now();
  const sinks = watched(world, step);
  if (sinks.length === 0) return { step, outcome };
  const recoveredMs = await world.recovery(sinks, since, RECOVERY_LIMIT_MS);
  if (recoveredMs !== undefined) return { step, outcome, recoveredMs };
  world.problem(
    "stands still",
    `no new event at ${sinks.join(", ")} within ${RECOVERY_LIMIT_MS / 1000} s after ${kindOf(step)}`,
  );
  return { step, outcome };
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
    default:
      return world.witnesses(CONTROL_PLANE);
  }
}

async function act(world: World, step: Step): Promise<Done["outcome"]> {
  switch (step.kind) {
    case "edit":
      return await edit(world, step);
    case "kill":
    case "freeze": {
      const program = await world.program(step.instance);
      if (program === undefined) return "skipped";
      if (step.kind === "freeze") await freeze(program, step.ms);
      else await kill(program);
      if (step.kind === "kill" && step.instance === CONTROL_PLANE) await controlPlaneBack(world);
      return "done";
    }
    case "fill-disk": {
      const disk = world.disks.get(step.disk);
      if (disk === undefined) return "skipped";
      await disk.fill(step.ms);
      return "done";
    }
    case "restart-engine":
      if (world.engine === undefined) return "skipped";
      await world.engine.restart(step.signal);
      return "done";
    case "stop":
    case "start":
    case "restart":
      return await command(world, step.kind, step.target);
    case "scale":
      return await scale(world, step.id, step.replicas);
    case "up-against-down":
      await upAgainstDown(world, step.afterMs);
      return "done";
    case "interrupt":
      await interruptedUp(world, step.afterMs);
      await settleUp(world, world.config);
      return "done";
  }
}

async function edit(
  world: World,
  { edit: change, how, afterMs }: Extract<Step, { kind: "edit" }>,
): Promise<Done["outcome"]> {
  const before = world.config;
  const next = applyEdit(before, change);
  if (next === undefined) return "skipped";
  await world.write(next);
  if (how === "once") return await commandUp(world, before, next);
  world.history.begin(next, Date.now());
  if (how === "killed") await killedUp(world, afterMs);
  if (how === "twice") await upTwice(world);
  if (how === "interrupted") await interruptedUp(world, afterMs);
  await settleUp(world, next);
  return "done";
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

async function scale(world: World, id: string, replicas: number): Promise<Done["outcome"]> {
  const next = applyEdit(world.config, { op: "replicas", id, replicas });
  if (next === undefined) return "skipped";
  world.history.begin(next, Date.now());
  const { code, stderr } = await world.flowctl("scale", `${id}=${replicas}`);
  if (code !== 0) {
    world.problem("scale fails", `scale ${id}=${replicas} ended with ${code}: ${stderr}`);
    return "refused";
  }
  world.history.settle(next, Date.now());
  for (const name of [...world.stopped]) if (name.startsWith(`${id}-`)) world.stopped.delete(name);
  return "done";
}

const BACK_LIMIT_MS = 30_000;

/** Waits until the control plane is there again by itself; where it does not come, `up` has to bring it. */
async function controlPlaneBack(world: World): Promise<void> {
  const end = Date.now() + BACK_LIMIT_MS;
  while (Date.now() < end) {
    if ((await world.program(CONTROL_PLANE)) !== undefined) return;
    await new Promise((wake) => setTimeout(wake, 200));
  }
  world.problem("stays away", `the control plane did not come back by itself within ${BACK_LIMIT_MS / 1000} s`);
  await settleUp(world, world.config);
}
