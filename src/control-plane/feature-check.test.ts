import { beforeEach, describe, expect, it } from "vitest";
import { noMetrics } from "../protocol/component-codec.ts";
import { everyFeature } from "../protocol/features.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { codeOf, Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let registry: Registry;

const changed =
  (id: string, change: Partial<ComponentSpec>) =>
  (spec: PipelineSpec): PipelineSpec => ({
    ...spec,
    components: spec.components.map((component) => (component.id === id ? { ...component, ...change } : component)),
  });
const buffer = (type: "memory" | "disk") => ({ type, maxEvents: 10, maxBytes: 0, whenFull: "block" as const });

beforeEach(() => {
  registry = new Kept().open();
  registry.apply(linearPipeline());
});

describe("the registration", () => {
  it.each<[string, string, (spec: PipelineSpec) => PipelineSpec]>([
    ["source", "partition_by", changed("processor", { partitionBy: "payload.key", replicas: 2 })],
    ["source", "types", changed("processor", { inputs: [{ from: "source", types: ["a.v1"] }] })],
    [
      "source",
      "memory_buffer",
      changed("processor", { inputs: [{ from: "source", types: [], buffer: buffer("memory") }] }),
    ],
    [
      "source",
      "disk_buffer",
      changed("processor", { inputs: [{ from: "source", types: [], buffer: buffer("disk") }] }),
    ],
    ["processor", "on_error", changed("processor", { onError: { action: "drop", to: "", retries: 0, backoffMs: 0 } })],
    [
      "processor",
      "dead_letters",
      changed("processor", { onError: { action: "dead_letter", to: "sink", retries: 0, backoffMs: 0 } }),
    ],
  ])("of %s is refused when the pipeline asks for %s and it does not support that", (id, feature, change) => {
    registry.apply(change(linearPipeline()));
    const features = everyFeature.filter((other) => other !== feature);
    const refused = registration(incarnation(id), { features });
    expect(() => registry.register(refused)).toThrow(
      expect.objectContaining({
        code: "registry/unsupported",
        kind: "invalid",
        message: expect.stringContaining(`${id}-1 does not support ${feature}`),
        fix: expect.stringMatching(/^Remove .+ from the pipeline file, or run a version of/),
      }),
    );
    expect(registry.component(id).instances).toEqual([]);
    registry.register({ ...refused, features: ["something else", feature] });
  });

  it("needs no support for partition_by while one instance alone has every key", () => {
    registry.apply(changed("processor", { partitionBy: "payload.key" })(linearPipeline()));
    expect(codeOf(() => registry.register(registration(incarnation("source"))))).toBe("none");
  });

  it("of a component that runs keeps a change away that asks for what it does not support, until it is gone", () => {
    const shared = changed("processor", { partitionBy: "payload.key", replicas: 2 })(linearPipeline());
    const who = incarnation("source");
    registry.register(registration(who, { features: [] }));
    const before = registry.spec;
    expect(codeOf(() => registry.apply(shared))).toBe("registry/unsupported");
    expect(registry.spec).toBe(before);
    registry.deregister({ ...who, reason: "stopped", message: "", metrics: noMetrics });
    expect(codeOf(() => registry.apply(shared))).toBe("none");
    expect(codeOf(() => registry.register(registration(incarnation("source", 1, "2"), { features: [] })))).toBe(
      "registry/unsupported",
    );
  });
});
