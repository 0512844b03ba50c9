import { instanceIdOf, type Plan, resourceOf } from "../../planner/plan.ts";
import type { DesiredChange } from "../../protocol/records.ts";

/**
 * The change of the desired state that a plan stands for, to be made before its first step: what it starts is to run, and
 * what it ends on the way there is not to be taken for crashed. What it left as it is, among it what has completed, is
 * to run as well.
 */
export function desiredBy(plan: Plan): DesiredChange & { readonly started: readonly string[] } {
  const changes = plan.steps.map(({ change }) => change).filter((change) => resourceOf(change).kind === "component");
  const ids = (wanted: typeof changes): readonly string[] => wanted.map((change) => instanceIdOf(resourceOf(change)));
  return {
    running: plan.unchanged.filter(({ kind }) => kind === "component").map(instanceIdOf),
    started: ids(changes.filter(({ action }) => action !== "remove" && action !== "stop")),
    renewed: ids(changes.filter(({ action }) => action === "replace" || action === "restart")),
  };
}
