import type { ComponentRecord, ComponentState } from "../protocol/records.ts";

const RUNS: ReadonlySet<ComponentState> = new Set(["healthy", "degraded"]);

/**
 * Events a second of the instances that run, each on average from its registration to its last heartbeat, which is when
 * its count was taken. Undefined before the first heartbeat, and where nothing runs.
 */
export function averageRate(
  { instances }: Pick<ComponentRecord, "instances">,
  key: "eventsIn" | "eventsOut",
): number | undefined {
  const rates = instances
    .filter(({ state, lastHeartbeat, registeredAt }) => RUNS.has(state) && lastHeartbeat > registeredAt)
    .map(({ metrics, lastHeartbeat, registeredAt }) => (metrics[key] * 1000) / (lastHeartbeat - registeredAt));
  return rates.length === 0 ? undefined : rates.reduce((sum, rate) => sum + rate, 0);
}
