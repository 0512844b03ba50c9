import type { ObservedResource, Prerequisite } from "../drivers/driver.ts";
import { howItExited } from "../foundation/how-it-exited.ts";
import { NEVER_STARTS } from "../foundation/never-starts.ts";

/** Whether a resource is as a prerequisite wants it, will still become so, or never will. */
export type Standing =
  | { readonly kind: "met" }
  | { readonly kind: "pending"; readonly text: string }
  | { readonly kind: "unsatisfiable"; readonly reason: string; readonly fix: string };

/**
 * Judges one prerequisite by what was observed of its resource; `undefined` when it does not exist yet. Pure.
 *
 * @param restartsBefore How often it had been restarted when it was first waited for.
 */
export function standing(
  condition: Prerequisite["condition"],
  resource: ObservedResource | undefined,
  restartsBefore = Number.POSITIVE_INFINITY,
): Standing {
  if (resource === undefined) return { kind: "pending", text: "Waiting" };
  if (condition === "exists") return { kind: "met" };
  const { state } = resource;
  const fix = `Check the logs with \`flowctl logs ${resource.owner}\``;
  if (state.status === "exited") {
    if (state.exitCode === 0 && condition !== "healthy") return { kind: "met" };
    if (state.exitCode === 0 && resource.kind === "component") return { kind: "met" };
    const how = state.oomKilled ? "ran out of memory" : howItExited(state.exitCode);
    return { kind: "unsatisfiable", reason: `${resource.name} ${how}`, fix };
  }
  const restarts = "restarts" in state ? state.restarts - restartsBefore : 0;
  if (restarts >= KEEPS_ENDING && !(state.status === "running" && state.health === "healthy")) {
    return { kind: "unsatisfiable", reason: `${resource.name} keeps exiting: ${restarts} times so far`, fix };
  }
  // What it said before it was waited for may have been put right.
  const saidNever = state.status === "restarting" && state.exitCode === NEVER_STARTS && restarts > 0;
  if (saidNever && resource.kind === "control-plane") {
    return { kind: "unsatisfiable", reason: `${resource.name} cannot start`, fix };
  }
  if (state.status !== "running") return { kind: "pending", text: "Starting" };
  if (condition === "started") return { kind: "met" };
  if (condition === "completed") return { kind: "pending", text: "Running" };
  switch (state.health) {
    case "healthy":
      return { kind: "met" };
    case "starting":
      return { kind: "pending", text: "Waiting until healthy" };
    case "unhealthy":
      return { kind: "unsatisfiable", reason: `${resource.name} is unhealthy`, fix };
    case "none":
      return {
        kind: "unsatisfiable",
        reason: `${resource.name} has no health check`,
        fix: `Add a healthcheck to ${resource.owner}, or use the condition service_started`,
      };
  }
}

/** What has ended so often while it was waited for will not stay up. */
const KEEPS_ENDING = 5;
