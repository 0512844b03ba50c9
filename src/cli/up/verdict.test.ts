import { describe, expect, it } from "vitest";
import type { DesiredResource } from "../../drivers/driver.ts";
import type { Plan } from "../../planner/plan.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { PipelineRecord, PipelineState } from "../../protocol/records.ts";
import { FreshVerdict } from "./verdict.ts";

const record = (state: PipelineState, registeredAt: number, finishedAt?: number): PipelineRecord => ({
  ...{ id: "1", name: "p", state, reason: "", driver: "process", startedAt: 0, topology: {} },
  ...(finishedAt === undefined ? {} : { finishedAt }),
  components: [
    {
      ...{ id: "a", type: "source", state: "completed", desiredInstances: 1 },
      ...{ connections: { upstream: [], downstream: [] }, totals: noMetrics },
      instances: [{ id: "a-1", registeredAt } as PipelineRecord["components"][number]["instances"][number]],
    },
  ],
});

const resource: DesiredResource = {
  ...{ key: "component/a-1", kind: "component", owner: "a", index: 1, hash: "h", parts: {}, after: [], spec: {} },
};
const starts: Plan = {
  ...{ pipeline: "p", unchanged: [], notes: [] },
  steps: [{ change: { action: "create", resource, cause: "" }, after: [], afterSteps: [] }],
};
const nothing: Plan = { ...starts, steps: [] };

describe("the end of a pipeline", () => {
  it("counts at once when there was no earlier one", () => {
    expect(new FreshVerdict(undefined, starts, 100).of(record("completed", 0))).toBe("completed");
    expect(new FreshVerdict(record("running", 0), starts, 100).of(record("failed", 0))).toBe("failed");
  });

  it("counts at once when nothing was started: it had ended before", () => {
    expect(new FreshVerdict(record("completed", 0), nothing, 100).of(record("completed", 0))).toBe("completed");
  });

  it("is not taken for that of an earlier start", () => {
    const verdict = new FreshVerdict(record("completed", 50), starts, 100);
    expect(verdict.of(record("completed", 50))).toBeUndefined();
    expect(verdict.of(record("completed", 101))).toBe("completed");
  });

  it("counts once the pipeline has been seen running, or has finished anew", () => {
    const seen = new FreshVerdict(record("failed", 50), starts, 100);
    expect(seen.of(record("running", 50))).toBeUndefined();
    expect(seen.of(record("failed", 50))).toBe("failed");
    expect(new FreshVerdict(record("failed", 50), starts, 100).of(record("failed", 50, 150))).toBe("failed");
  });
});
