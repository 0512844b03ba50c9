import { beforeEach, describe, expect, it } from "vitest";
import { noMetrics } from "../protocol/component-codec.ts";
import type { PipelineSpec } from "../protocol/records.ts";
import type { IncarnationReference } from "../protocol/registry-codec.ts";
import { componentSpec, incarnation, registration } from "./pipeline.fake.ts";
import { Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let registry: Registry;

const bye = (who: IncarnationReference, reason: "completed" | "stopped") =>
  registry.deregister({ ...who, reason, message: "", metrics: noMetrics });

beforeEach(() => {
  registry = new Kept().open();
});

describe("topology", () => {
  const spec: PipelineSpec = {
    name: "p",
    driver: "docker",
    components: [
      componentSpec({ id: "source", type: "source", replicas: 2 }),
      componentSpec(
        {
          id: "processor",
          type: "processor",
          onError: { action: "dead_letter", to: "rejected", retries: 3, backoffMs: 100 },
        },
        "source",
      ),
      componentSpec({ id: "sink", type: "sink", partitionBy: "payload.key", replicas: 3 }, "processor"),
      componentSpec({ id: "rejected", type: "sink" }),
    ],
  };

  it("tells a component its upstream instances and its groups, dead letters included", () => {
    registry.apply(spec);
    registry.register(registration(incarnation("source", 2)));
    registry.register(registration(incarnation("source", 1)));
    const topology = registry.topology(incarnation("processor"));
    expect(topology.upstreams).toEqual([
      {
        componentId: "source",
        types: [],
        desiredInstances: 2,
        completed: false,
        deadLetters: false,
        instances: [
          { instanceId: "source-1", address: "source-1:50051", completed: false },
          { instanceId: "source-2", address: "source-2:50051", completed: false },
        ],
      },
    ]);
    expect(topology.downstreams).toMatchObject([
      { componentId: "sink", partitionBy: "payload.key", desiredInstances: 3, deadLetters: false },
      { componentId: "rejected", deadLetters: true },
    ]);
    expect(topology.onError).toMatchObject({ action: "dead_letter", retries: 3 });
    expect(registry.topology(incarnation("rejected")).upstreams).toMatchObject([
      { componentId: "processor", deadLetters: true },
    ]);
    expect(registry.pipeline().topology.rejected).toEqual({ upstream: ["processor"], downstream: [] });
  });

  it("calls an upstream completed only when all the instances that it is to have are", () => {
    registry.apply(spec);
    const [one, two] = [incarnation("source", 1), incarnation("source", 2)];
    const completed = () => registry.topology(incarnation("processor")).upstreams[0]?.completed;
    registry.register(registration(one));
    bye(one, "completed");
    expect(completed()).toBe(false);
    registry.register(registration(two));
    bye(two, "completed");
    expect(completed()).toBe(true);
    registry.register(registration(incarnation("source", 2, "again")));
    expect(completed()).toBe(false);
  });
});
