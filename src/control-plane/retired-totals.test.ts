import { beforeEach, describe, expect, it } from "vitest";
import { noMetrics } from "../protocol/component-codec.ts";
import type { PipelineSpec } from "../protocol/records.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let kept: Kept;
let registry: Registry;

const count = (who: ReturnType<typeof incarnation>, eventsIn: number) =>
  registry.heartbeat({
    ...who,
    degradedReason: "",
    metrics: { ...noMetrics, eventsIn, eventsDropped: 1, inFlight: 2 },
  });
const seen = (instanceId: string, observation: "exited" | "removed") =>
  registry.report({ componentId: "sink", instanceId, observation, exitCode: 0 }, kept.clock.now());
const bye = (who: ReturnType<typeof incarnation>, eventsIn: number, reason: "completed") =>
  registry.deregister({ ...who, reason, message: "", metrics: { ...noMetrics, eventsIn, eventsDropped: 1 } });
const sinks = (replicas: number): PipelineSpec => ({
  ...linearPipeline(),
  components: linearPipeline().components.map((one) => (one.id === "sink" ? { ...one, replicas } : one)),
});
const totals = () => {
  const { totals: whole, instances } = registry.component("sink");
  return [whole.eventsIn, ...instances.map((one) => one.totals.eventsIn)];
};

beforeEach(() => {
  kept = new Kept();
  registry = kept.open();
  registry.apply(sinks(1));
});

describe("what a component has counted", () => {
  it("goes on when an instance is replaced, its container removed and another made under its id", () => {
    const first = incarnation("sink");
    registry.register(registration(first));
    count(first, 10);
    seen("sink-1", "removed");
    expect(totals()).toEqual([10]);
    registry = kept.open();
    expect(totals()).toEqual([10]);
    const second = incarnation("sink", 1, "2");
    registry.register(registration(second));
    count(second, 5);
    expect(totals()).toEqual([15, 15]);
    expect(registry.component("sink").totals).toMatchObject({ eventsDropped: 2, inFlight: 2 });
    seen("sink-1", "removed");
    expect(registry.component("sink").totals).toMatchObject({ eventsIn: 15, inFlight: 0 });
  });

  it("goes on when it is scaled down, and up again", () => {
    registry.apply(sinks(2));
    const [one, two] = [incarnation("sink"), incarnation("sink", 2)];
    for (const who of [one, two]) registry.register(registration(who));
    count(one, 10);
    count(two, 20);
    registry.apply(sinks(1));
    bye(two, 25, "completed");
    seen("sink-2", "exited");
    expect(totals()).toEqual([35, 10]);
    registry.apply(sinks(2));
    registry = kept.open();
    const again = incarnation("sink", 2, "2");
    registry.register(registration(again));
    count(again, 1);
    expect(totals()).toEqual([36, 10, 26]);
  });

  it("goes on over a restart of the control plane", () => {
    const who = incarnation("sink");
    registry.register(registration(who));
    count(who, 10);
    registry = kept.open();
    registry.register(registration(who));
    count(who, 11);
    expect(totals()).toEqual([11, 11]);
  });

  it("is forgotten with the component, and begins anew with a new run", () => {
    const all = ["source", "processor", "sink"].map((id) => incarnation(id));
    for (const who of all) registry.register(registration(who));
    count(all[2]!, 10);
    seen("sink-1", "removed");
    const { components } = linearPipeline();
    registry.apply({ ...linearPipeline(), components: components.filter(({ id }) => id !== "sink") });
    registry.apply(sinks(1));
    expect(totals()).toEqual([0]);

    const late = incarnation("sink", 1, "2");
    registry.register(registration(late));
    count(late, 4);
    seen("sink-1", "removed");
    const later = incarnation("sink", 1, "3");
    registry.register(registration(later));
    for (const who of [all[0]!, all[1]!, later]) bye(who, 3, "completed");
    expect(registry.pipeline().state).toBe("completed");
    expect(totals()).toEqual([7, 7]);
    registry.register(registration(incarnation("source", 1, "2")));
    expect(totals()).toEqual([0, 0]);
  });
});
