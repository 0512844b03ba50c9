import { createHash } from "node:crypto";
import type { ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { type HeldName, holdName, isNameHeld } from "../../foundation/machine-lock.ts";
import { type Plan, resourceOf } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";

/** Between two looks whether a pipeline is still being taken down, in milliseconds. */
const LOOK_INTERVAL = 100;

/**
 * Says to other commands of this machine that a pipeline is being taken down. Resolves with undefined where another one
 * says so already.
 */
export function announceDown(context: CommandContext, pipeline: string): Promise<HeldName | undefined> {
  return holdName(nameOf(context, pipeline));
}

/** Resolves when no other command of this machine is taking the pipeline down. Rejects when it is interrupted. */
export async function untilNotGoing(context: CommandContext, pipeline: string): Promise<void> {
  const { deps, output, signal } = context;
  for (let isSaid = false; await isNameHeld(nameOf(context, pipeline)); isSaid = true) {
    if (!isSaid) output.say(`${pipeline} is being taken down by another command; waiting until that is done`);
    await deps.clock.sleep(LOOK_INTERVAL, signal);
  }
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
    fix: "Run `flowctl up` again, if that was unintended",
  });
}

/** One name for each place where pipelines of that name are. */
function nameOf({ deps: { env } }: CommandContext, pipeline: string): string {
  const place = [env.FLOWCTL_HOME, env.XDG_STATE_HOME, env.HOME, env.DOCKER_HOST, env.DOCKER_CONTEXT, pipeline];
  return `down-${createHash("sha256").update(JSON.stringify(place)).digest("hex").slice(0, 20)}`;
}
