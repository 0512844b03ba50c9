import type { ObservedResource } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { howItExited } from "../../foundation/how-it-exited.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import { instanceIdOf, resourceOf } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";
import type { PreparedUp } from "./change.ts";
import { lastLines } from "./outcome.ts";

/** Between two looks, in milliseconds. */
const LOOK_INTERVAL = 250;

/** A service that was just started, and that nothing checks, has to run for so long, in milliseconds, without ending. */
const STAYS = 2_000;

/**
 * What the control plane does not see: resolves when every service, and every component with a `healthcheck` in the file, runs and passes
 * its check, or has exited with 0. Rejects with `cli/unhealthy` when one fails its check, or a service has exited
 * with another code, after showing its last lines. `onWait` is told what it waits for.
 */
export async function untilChecksPass(
  context: CommandContext,
  { driver, pipeline, plan }: Pick<PreparedUp, "driver" | "pipeline" | "plan">,
  signal: AbortSignal,
  onWait: (what: string) => void,
): Promise<void> {
  const { deps, output } = context;
  const checked = checkedOwners(pipeline);
  const started = new Set(plan.steps.map(({ change }) => resourceOf(change).key));
  /** Since when what nothing checks is seen to run, by what it is and when it was started. */
  const seen = new Map<string, number>();
  const stays = ({ key, ref, state }: ObservedResource): boolean => {
    if (!started.has(key) || state.status !== "running" || state.health !== "none") return true;
    const run = `${ref} ${state.startedAt}`;
    seen.set(run, seen.get(run) ?? deps.clock.now());
    return deps.clock.now() - (seen.get(run) ?? 0) >= STAYS;
  };
  while (checked.size > 0) {
    const all = await driver.observe(pipeline.name, signal);
    const found = all.filter(({ kind, owner }) => (kind === "component" || kind === "service") && checked.has(owner));
    const failed = found.find((resource) => whyFailed(resource) !== undefined);
    if (failed !== undefined) {
      const id = instanceIdOf(failed);
      const what = failed.kind === "service" ? `the service ${failed.owner}` : id;
      for (const line of output.json ? [] : await lastLines(driver, pipeline.name, id, 10, signal)) {
        output.stderr.write(`${output.paintError.dim(`${line.instance} │`)} ${line.text}\n`);
      }
      throw new FlowctlError({
        code: "cli/unhealthy",
        kind: "failed",
        message: `${pipeline.name} is not healthy: ${what} ${whyFailed(failed)}`,
        fix: `See its logs with \`flowctl logs -p ${pipeline.name} ${id}\``,
      });
    }
    const unready = found.filter((resource) => !(isReady(resource) && stays(resource))).map(instanceIdOf);
    if (new Set(found.map(({ owner }) => owner)).size === checked.size && unready.length === 0) return;
    onWait(unready.length === 0 ? "" : `the health check of ${unready.slice(0, 3).join(", ")} has not passed yet`);
    await deps.clock.sleep(LOOK_INTERVAL, signal);
  }
}

function checkedOwners({ components, services }: Pipeline): ReadonlySet<string> {
  const hasCheck = ({ healthcheck }: Component): boolean => healthcheck?.test !== undefined && !healthcheck.disable;
  return new Set([...services, ...components.filter(hasCheck)].map(({ id }) => id));
}

function whyFailed({ kind, state }: ObservedResource): string | undefined {
  if (state.status === "running" && state.health === "unhealthy") return "fails its health check";
  // A component that exits is restarted, or given up, by the control plane.
  if (kind !== "service" || state.status !== "exited" || state.exitCode === 0) return undefined;
  return `${howItExited(state.exitCode)}${state.oomKilled ? ": it had run out of memory" : ""}`;
}

function isReady({ state }: ObservedResource): boolean {
  if (state.status === "exited") return state.exitCode === 0;
  return state.status === "running" && (state.health === "none" || state.health === "healthy");
}
