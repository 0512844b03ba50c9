import { describe, expect, it } from "vitest";
import type { ObservedResource, ObservedState, ResourceKey } from "../drivers/driver.ts";
import { resourceOf } from "./plan.ts";
import { planDown, planRestart, planStart, planStop, selectInstances } from "./plan-lifecycle.ts";
import { planDocument, renderPlanText } from "./render-plan.ts";

const running: ObservedState = { status: "running", startedAt: 1, health: "healthy", restarts: 0 };
const exited: ObservedState = { status: "exited", exitCode: 0, oomKilled: false, finishedAt: 2, restarts: 0 };

function have(key: ResourceKey, state: ObservedState = running): ObservedResource {
  const [kind, rest] = key.split("/") as [ObservedResource["kind"], string];
  const match = /^(.*)-(\d+)$/.exec(rest);
  const owner = kind === "control-plane" ? kind : match ? (match[1] as string) : rest;
  return {
    key,
    kind,
    owner,
    index: Number(match?.[2] ?? 0),
    hash: "h",
    parts: {},
    state,
    ref: key,
    name: rest,
    ports: [],
  };
}

const everything = [
  have("network/default"),
  have("volume/data"),
  have("control-plane/1"),
  have("service/db-1"),
  have("component/sink-1"),
  have("component/source-1"),
  have("component/source-2"),
];
const depths = new Map([
  ["source", 0],
  ["sink", 1],
]);
const steps = (plan: {
  steps: readonly { change: Parameters<typeof resourceOf>[0]; afterSteps: readonly number[] }[];
}) => plan.steps.map(({ change, afterSteps }) => `${resourceOf(change).key} after [${afterSteps}]`);

describe("planDown", () => {
  it("removes from the sources down, then services, the control plane, and networks", () => {
    expect(steps(planDown("p", everything, { depths }))).toEqual([
      "component/source-1 after []",
      "component/source-2 after []",
      "component/sink-1 after [0,1]",
      "service/db-1 after [2]",
      "control-plane/1 after [3]",
      "network/default after [4]",
    ]);
  });

  it("removes volumes only when asked to", () => {
    expect(steps(planDown("p", everything)).join()).not.toContain("volume/data");
    expect(steps(planDown("p", everything, { volumes: true })).join()).toContain("volume/data");
  });
});

describe("planStop", () => {
  it("stops what runs, from the sources down, and leaves the control plane", () => {
    const observed = [...everything, have("component/done-1", exited)];
    expect(steps(planStop("p", observed, [], { depths }))).toEqual([
      "component/source-1 after []",
      "component/source-2 after []",
      "component/sink-1 after [0,1]",
      "service/db-1 after [2]",
    ]);
  });

  it("stops one instance, or all of a component", () => {
    expect(steps(planStop("p", everything, ["source-2"]))).toEqual(["component/source-2 after []"]);
    expect(steps(planStop("p", everything, ["source"]))).toHaveLength(2);
  });
});

describe("planStart and planRestart", () => {
  it("starts only what does not run, services first", () => {
    const observed = [have("component/a-1", exited), have("service/db-1", exited), have("component/b-1")];
    expect(steps(planStart("p", observed, []))).toEqual(["service/db-1 after []", "component/a-1 after [0]"]);
  });

  it("restarts what is selected, running or not", () => {
    const observed = [have("component/a-1", exited), have("component/b-1")];
    expect(steps(planRestart("p", observed, ["a"]))).toEqual(["component/a-1 after []"]);
  });
});

describe("selectInstances", () => {
  it("refuses an id that nothing has, and names those there are", () => {
    expect(() => selectInstances(everything, ["sinc"])).toThrow(
      expect.objectContaining({ code: "planner/unknown-id", fix: "Use one of db, sink, source" }),
    );
  });
});

describe("a rendered plan", () => {
  it("says in one line a step what is done and why, and counts", () => {
    expect(renderPlanText(planStop("p", [have("component/a-1"), have("component/b-1", exited)], []))).toBe(
      "! stop    component/a-1  stop\n1 to stop, 1 unchanged",
    );
  });

  it("says when there is nothing to do, and when that is because all has completed", () => {
    const none = { pipeline: "p", steps: [], notes: [] };
    expect(renderPlanText({ ...none, unchanged: [have("component/a-1")] })).toBe("p: nothing to do");
    expect(renderPlanText({ ...none, unchanged: [have("network/default"), have("component/a-1", exited)] })).toBe(
      "p: completed; nothing to do",
    );
  });

  it("is plain data without configuration for machines", () => {
    expect(planDocument(planStop("p", [have("component/a-1")], []))).toEqual({
      pipeline: "p",
      changes: [{ action: "stop", resource: "component/a-1", cause: "stop", after: [] }],
      live: [],
      unchanged: [],
      notes: [],
    });
  });
});
