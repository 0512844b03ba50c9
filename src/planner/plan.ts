import type { Change, DesiredResource, ObservedResource, ResourceKey, ResourceKind } from "../drivers/driver.ts";

/** The difference between desired and observed: what would be done, in an order that respects prerequisites. */
export interface Plan {
  readonly pipeline: string;
  readonly steps: readonly PlanStep[];
  /** What is already as desired. */
  readonly unchanged: readonly ObservedResource[];
  /** What the reader should know although nothing is done about it, one sentence each. */
  readonly notes: readonly string[];
  /** What the control plane applies while everything runs on. Left out: nothing. */
  readonly live?: readonly LiveChange[];
}

/** One setting that changes without anything being started anew. */
export interface LiveChange {
  readonly component: string;
  /** As in the pipeline file: `inputs.feed.buffer`, `partition_by`. */
  readonly key: string;
  readonly from: string;
  readonly to: string;
  /** What it means for events that are under way, for people. */
  readonly effect: string;
}

export interface PlanStep {
  readonly change: Change;
  /** Prerequisites among all desired resources, to be awaited before the change is applied. */
  readonly after: DesiredResource["after"];
  /** Indexes of earlier steps of the plan that have to be finished before this one begins. */
  readonly afterSteps: readonly number[];
}

/** The resource that a change is about, whichever side it is known from. */
export function resourceOf(change: Change): DesiredResource | ObservedResource {
  return change.action === "create" || change.action === "replace" ? change.resource : change.observed;
}

/** Whether nothing is to be done. */
export function isEmpty({ steps, live = [] }: Plan): boolean {
  return steps.length === 0 && live.length === 0;
}

/** Whether everything is made for the first time: there is nothing to compare, and nothing that could surprise. */
export function isFirstStart({ steps, unchanged, live = [] }: Plan): boolean {
  const creates = steps.every(({ change }) => change.action === "create");
  return steps.length > 0 && live.length === 0 && creates && unchanged.every(({ kind }) => isStorage(kind));
}

/** What is kept over `flowctl down`. */
const isStorage = (kind: ResourceKind): boolean => kind === "volume" || kind === "network";

/** The id of the instance that a resource is, as its key has it: `enrich-2` of `component/enrich-2`. */
export function instanceIdOf({ key }: { readonly key: ResourceKey }): string {
  return key.slice(key.indexOf("/") + 1);
}
