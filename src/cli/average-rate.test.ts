import { describe, expect, it } from "vitest";
import { noMetrics } from "../protocol/component-codec.ts";
import type { InstanceRecord } from "../protocol/records.ts";
import { averageRate } from "./average-rate.ts";

function instance(id: string, given: Partial<InstanceRecord>): InstanceRecord {
  const text = { reason: "", address: "", healthEndpoint: "" };
  const lists = { metadata: {}, consumes: [], produces: [], restarts: 0 };
  const metrics = { ...noMetrics, eventsOut: 2_000 };
  const rest = { totals: metrics, desiredStopped: false };
  return {
    id,
    state: "healthy",
    ...rest,
    ...text,
    ...lists,
    metrics,
    registeredAt: 1_000,
    lastHeartbeat: 11_000,
    ...given,
  };
}

describe("an average rate", () => {
  it("ends at the heartbeat that brought the count, and adds up over the instances that run", () => {
    const instances = [instance("a-1", {}), instance("a-2", {}), instance("a-3", { state: "failed" })];
    expect(averageRate({ instances }, "eventsOut")).toBe(400);
  });

  it("is unknown before the first heartbeat", () => {
    expect(averageRate({ instances: [instance("a-1", { lastHeartbeat: 1_000 })] }, "eventsOut")).toBeUndefined();
  });
});
