import type { Change, DesiredResource, ObservedResource } from "../drivers/driver.ts";

/** The difference between desired and observed: what would be done, in an order that respects prerequisites. */
export interface Plan {
  readonly pipeline: string;
  readonly steps: readonly PlanStep[];
  /** What is already as desired. */
  readonly unchanged: readonly ObservedResource[];
}

export interface PlanStep {
  readonly change: Change;
  /** Prerequisites among all desired resources, to be awaited before the change is applied. */
  readonly after: DesiredResource["after"];
}
