import { expect, it } from "vitest";
import type { ObservedResource } from "../../drivers/driver.ts";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PlanStep } from "../../planner/plan.ts";
import { untilLeft } from "./until-left.ts";

it("what drains while the control plane is gone is waited for only as long as one is to be expected", async () => {
  const observed = { key: "component/a-1", kind: "component", owner: "a", index: 1 } as unknown as ObservedResource;
  const step: PlanStep = { change: { action: "remove", observed, cause: "" }, after: [], afterSteps: [] };
  const gone = new FlowctlError({ code: "cli/taken-down", kind: "conflict", message: "it is gone" });
  const context = {
    clock: fakeClock(),
    progress: () => undefined,
    signal: new AbortController().signal,
    discard: false,
    reach: () => Promise.reject(gone),
  };
  await expect(untilLeft(step, { record: async () => undefined }, context)).rejects.toBe(gone);
});
