import type { ObservedResource } from "../drivers/driver.ts";
import { selectInstances } from "../planner/plan-lifecycle.ts";

/** Throws `planner/unknown-id` for an id that names nothing that logs. */
export function checkLogSelection(observed: readonly ObservedResource[], ids: readonly string[]): void {
  selectInstances(
    observed,
    ids.filter((id) => id !== "control-plane"),
  );
}
