import { describe, expect, it } from "vitest";
import type { ComponentSpec, InputSpec } from "../protocol/records.ts";
import { surroundingsOf } from "./topology.ts";

function component(id: string, type: ComponentSpec["type"], inputs: readonly InputSpec[] = []): ComponentSpec {
  const onError = { action: "fail", to: "", retries: 0, backoffMs: 0 } as const;
  return { id, type, inputs, replicas: 1, consumes: [], produces: [], partitionBy: "", maxRestarts: 5, onError };
}

describe("the slack of a component", () => {
  const memory = (maxEvents: number): NonNullable<InputSpec["buffer"]> => ({
    type: "memory",
    maxEvents,
    maxBytes: 0,
    whenFull: "block",
  });
  const spec = {
    name: "p",
    driver: "process",
    components: [
      component("source", "source"),
      component("processor", "processor", [{ from: "source", types: [], buffer: memory(10) }]),
      component("slow", "sink", [{ from: "processor", types: [], buffer: memory(1000) }]),
      component("disk", "sink", [
        { from: "processor", types: [], buffer: { type: "disk", maxEvents: 9999, maxBytes: 0, whenFull: "block" } },
      ]),
      component("plain", "sink", [{ from: "source", types: [] }]),
    ],
  };
  const slackOf = (id: string) => surroundingsOf(spec).get(id)?.slack;

  it("is what the buffers in memory below it hold, along the path that holds the most", () => {
    expect(slackOf("source")?.events).toBe(1010);
    expect(slackOf("processor")).toEqual({ events: 1000, bytes: 1000 * 1024 });
  });

  it("is nothing where nothing below buffers in memory", () => {
    expect(slackOf("slow")).toEqual({ events: 0, bytes: 0 });
  });
});
