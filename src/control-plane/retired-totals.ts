import { addMetrics, noMetrics } from "../protocol/component-codec.ts";
import type { InstanceMetrics, PipelineSpec } from "../protocol/records.ts";
import { type InstanceData, totalsOf } from "./instance.ts";

/** Totals of instances that are not known any more, by component and instance. Plain JSON. */
export type RetiredTotals = Readonly<Record<string, Readonly<Record<string, InstanceMetrics>>>>;

/** The same with what an instance has counted that is forgotten now. One that is back under its id goes on from there. */
export function withRetired(retired: RetiredTotals | undefined, data: InstanceData): RetiredTotals {
  const counted: InstanceMetrics = { ...totalsOf(data), inFlight: 0, waiting: {}, backpressure: 0 };
  return { ...retired, [data.componentId]: { ...retired?.[data.componentId], [data.id]: counted } };
}

/** The same without components that the pipeline does not have any more; undefined where nothing is left. */
export function retiredOf(retired: RetiredTotals | undefined, spec: PipelineSpec): RetiredTotals | undefined {
  const ids = new Set(spec.components.map(({ id }) => id));
  const kept = Object.entries(retired ?? {}).filter(([id]) => ids.has(id));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** What all instances of a component have counted together, those that are not known any more included. */
export function componentTotals(
  componentId: string,
  instances: readonly InstanceData[],
  retired: RetiredTotals | undefined,
): InstanceMetrics {
  const known = new Set(instances.map(({ id }) => id));
  const gone = Object.entries(retired?.[componentId] ?? {}).flatMap(([id, totals]) => (known.has(id) ? [] : [totals]));
  return sumMetrics([...gone, ...instances.map(totalsOf)]);
}

/** Of several that count side by side: also what waits and is in flight adds up, and the most held up counts. */
export function sumMetrics(all: readonly InstanceMetrics[]): InstanceMetrics {
  return all.reduce((sum, one) => {
    const waiting = { ...sum.waiting };
    for (const [to, count] of Object.entries(one.waiting)) waiting[to] = (waiting[to] ?? 0) + count;
    return {
      ...addMetrics(sum, one),
      inFlight: sum.inFlight + one.inFlight,
      waiting,
      backpressure: Math.max(sum.backpressure, one.backpressure),
    };
  }, noMetrics);
}
