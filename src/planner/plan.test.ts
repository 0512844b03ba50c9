import { describe, expect, it } from "vitest";
import type { Change, ObservedResource, ResourceKind } from "../drivers/driver.ts";
import { isFirstStart, type LiveChange, type Plan } from "./plan.ts";

const step = (action: Change["action"]): Plan["steps"][number] => ({
  change: { action } as Change,
  after: [],
  afterSteps: [],
});
const kept = (kind: ResourceKind): ObservedResource => ({ kind }) as ObservedResource;
const plan = (
  actions: readonly Change["action"][],
  unchanged: readonly ResourceKind[] = [],
  live?: readonly LiveChange[],
): Plan => ({
  pipeline: "p",
  steps: actions.map(step),
  unchanged: unchanged.map(kept),
  notes: [],
  ...(live === undefined ? {} : { live }),
});
const live: LiveChange = { component: "a", key: "partition_by", from: "", to: "id", effect: "" };

describe("a first start", () => {
  it.each([
    ["where everything is created", plan(["create", "create"])],
    ["with what a `down` has left: networks and volumes", plan(["create"], ["volume", "network"])],
  ])("is one %s", (_, first) => expect(isFirstStart(first)).toBe(true));

  it.each([
    ["where nothing is to be done", plan([])],
    ["where something is replaced", plan(["create", "replace"])],
    ["where a component runs already", plan(["create"], ["component"])],
    ["where the control plane runs already", plan(["create"], ["volume", "control-plane"])],
    ["where something is changed while it runs", plan(["create"], [], [live])],
  ])("is none %s", (_, later) => expect(isFirstStart(later)).toBe(false));
});
