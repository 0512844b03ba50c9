import { describe, expect, it } from "vitest";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { ComponentState, PipelineRecord } from "../../protocol/records.ts";
import { awaitedInWords } from "./awaited.ts";

function record(...instances: readonly (readonly [string, ComponentState, string])[]): PipelineRecord {
  const common = { address: "", healthEndpoint: "", lastHeartbeat: 0, registeredAt: 0, metadata: {} };
  const rest = {
    metrics: noMetrics,
    restarts: 0,
    consumes: [],
    produces: [],
    totals: noMetrics,
    desiredStopped: false,
  };
  const components = instances.map(([id, state, reason]) => ({
    id,
    type: "sink" as const,
    state,
    connections: { upstream: [], downstream: [] },
    desiredInstances: 1,
    totals: noMetrics,
    instances: reason === "missing" ? [] : [{ ...common, ...rest, id: `${id}-1`, state, reason }],
  }));
  return { id: "1", name: "p", state: "starting", reason: "", driver: "", startedAt: 0, components, topology: {} };
}

describe("what is waited for", () => {
  it("is named with its state and why, what is well is not, and many are counted", () => {
    expect(
      awaitedInWords(
        record(
          ["good", "healthy", ""],
          ["mute", "starting", "has not registered yet"],
          ["late", "starting", "missing"],
          ["ill", "unhealthy", ""],
          ["also", "unhealthy", ""],
        ),
      ),
    ).toBe("mute-1 is starting (has not registered yet), 1 of late not started yet, ill-1 is unhealthy, and 1 more");
  });
});
