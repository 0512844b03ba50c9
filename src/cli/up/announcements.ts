import { createHash } from "node:crypto";
import type { ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { type HeldName, holdName, isNameHeld } from "../../foundation/machine-lock.ts";
import { type Plan, resourceOf } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";

/** Between two looks whether another command has got on, in milliseconds. */
const LOOK_INTERVAL = 100;
/** How long a pipeline may take to be so far that it can be ended, in milliseconds. */
const COMES_WITHIN = 10_000;

/**
 * Says to other commands of this machine that a pipeline is being taken down. Resolves with undefined where another one
 * says so already.
 */
export function announceDown(context: CommandContext, pipeline: string): Promise<HeldName | undefined> {
  return holdName(nameOf(context, "down", pipeline));
}

/**
 * Says to other commands of this machine that a pipeline is being made, of which no control plane can tell them yet: whoever wants to end
 * it waits for that one, and then takes over. To be given back once the control plane has been told. Waits for whoever
 * takes the pipeline down, or makes it, as well. Rejects when it is interrupted.
 */
export async function announceUp(context: CommandContext, pipeline: string): Promise<HeldName> {
  const { deps, output, signal } = context;
  for (let isSaid = false; ; ) {
    const held = await holdName(nameOf(context, "up", pipeline));
    if (held === undefined) {
      if (!isSaid) output.say(`${pipeline} is being started by another command; waiting`);
      isSaid = true;
      await deps.clock.sleep(LOOK_INTERVAL, signal);
    } else if (await isNameHeld(nameOf(context, "down", pipeline))) {
      await held.release();
      await untilNoDownRuns(context, pipeline);
    } else return held;
  }
}

/**
 * Resolves when no other command of this machine is making the pipeline without a control plane, or its control plane has not come up for
 * 10 s: by then it is there to be ended. Rejects when it is interrupted.
 */
export async function untilNoUpBegins(context: CommandContext, pipeline: string): Promise<void> {
  const { deps, output, signal } = context;
  const end = deps.clock.elapsed() + COMES_WITHIN;
  const isComing = async (): Promise<boolean> =>
    deps.clock.elapsed() < end && (await isNameHeld(nameOf(context, "up", pipeline)));
  for (let isSaid = false; await isComing(); isSaid = true) {
    if (!isSaid) output.say(`${pipeline} is being started by another command; waiting until it can be stopped`);
    await deps.clock.sleep(LOOK_INTERVAL, signal);
  }
}

/** Resolves when no other command of this machine is taking the pipeline down. Rejects when it is interrupted. */
export async function untilNoDownRuns(context: CommandContext, pipeline: string): Promise<void> {
  const { deps, output, signal } = context;
  for (let isSaid = false; await isNameHeld(nameOf(context, "down", pipeline)); isSaid = true) {
    if (!isSaid) output.say(`${pipeline} is being taken down by another command; waiting`);
    await deps.clock.sleep(LOOK_INTERVAL, signal);
  }
}

/**
 * Says to other commands of this machine that dead letters of the pipeline are being replayed, so that none is chosen by two of them.
 * Rejects with `control/replay-under-way` where another one says so. The control plane refuses the second of two machines.
 */
export async function announceReplay(context: CommandContext, pipeline: string): Promise<HeldName> {
  const held = await holdName(nameOf(context, "replay", pipeline));
  if (held !== undefined) return held;
  throw new FlowctlError({
    code: "control/replay-under-way",
    kind: "conflict",
    message: `Another replay of ${pipeline} is running`,
    fix: "Retry when it has finished",
  });
}

/** Throws `cli/taken-down` (kind conflict) when something that a plan made, or found as it should be, is not there. */
export function refuseTakenDown(plan: Plan, observed: readonly ObservedResource[]): void {
  const there = new Set(observed.map(({ key }) => key));
  const wanted: ResourceKey[] = [
    ...plan.steps.filter(({ change }) => change.action !== "remove").map(({ change }) => resourceOf(change).key),
    ...plan.unchanged.map(({ key }) => key),
  ];
  const gone = wanted.filter((key) => !there.has(key) && !key.startsWith("network/"));
  if (gone.length === 0) return;
  throw new FlowctlError({
    code: "cli/taken-down",
    kind: "conflict",
    message: `${plan.pipeline} was taken down while it was being started: ${gone.slice(0, 3).join(", ")} ${gone.length === 1 ? "is" : "are"} gone`,
    fix: "If that was unintended, run `flowctl up` again",
  });
}

/** One name for each place where pipelines of that name are. */
function nameOf({ deps: { env } }: CommandContext, what: "up" | "down" | "replay", pipeline: string): string {
  const place = [env.FLOWCTL_HOME, env.XDG_STATE_HOME, env.HOME, env.DOCKER_HOST, env.DOCKER_CONTEXT, pipeline];
  return `${what}-${createHash("sha256").update(JSON.stringify(place)).digest("hex").slice(0, 20)}`;
}
