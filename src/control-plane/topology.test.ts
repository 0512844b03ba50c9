import { describe, expect, it } from "vitest";
import type { ComponentSpec, InputSpec } from "../protocol/records.ts";
import { surroundingsOf } from "./topology.ts";

function component(id: string, type: ComponentSpec["type"], inputs: readonly InputSpec[] = []): ComponentSpec {
  const onError = { action: "fail", to: "", retries: 0, backoffMs: 0 } as const;
  return { id, type, inputs, replicas: 1, consumes: [], produces: [], partitionBy: "", maxRestarts: 5, onError };
}

describe("what a component may have in flight", () => {
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
  const allowanceOf = (id: string) => surroundingsOf(spec).get(id)?.inFlightAllowance;

  it("is what the buffers in memory below it hold, along the path that holds the most, and something for a further hop", () => {
    expect(allowanceOf("source")?.events).toBe(1010 + 2048);
    expect(allowanceOf("processor")).toEqual({ events: 1000, bytes: 1000 * 1024 });
  });

  it("is nothing where nothing below buffers in memory", () => {
    expect(allowanceOf("slow")).toEqual({ events: 0, bytes: 0 });
  });

  it("does not grow for a buffer that drops, nor for what is below it: it is acknowledged at once", () => {
    const lossy = (whenFull: "drop_newest" | "drop_oldest") => ({
      type: "memory" as const,
      maxEvents: 5000,
      maxBytes: 0,
      whenFull,
    });
    const surroundings = surroundingsOf({
      name: "p",
      driver: "process",
      components: [
        component("source", "source"),
        component("a", "processor", [{ from: "source", types: [], buffer: lossy("drop_newest") }]),
        component("b", "sink", [{ from: "a", types: [], buffer: lossy("drop_oldest") }]),
      ],
    });
    expect(surroundings.get("source")?.inFlightAllowance).toEqual({ events: 0, bytes: 0 });
    expect(surroundings.get("a")?.inFlightAllowance).toEqual({ events: 0, bytes: 0 });
  });

  it("grows with every hop beyond the next, up to six, and not past a buffer on disk", () => {
    const chain = Array.from({ length: 12 }, (_, n): ComponentSpec => {
      const buffer =
        n === 3 ? { type: "disk" as const, maxEvents: 10, maxBytes: 0, whenFull: "block" as const } : undefined;
      return n === 0
        ? component("c0", "source")
        : component(`c${n}`, "processor", [{ from: `c${n - 1}`, types: [], ...(buffer && { buffer }) }]);
    });
    const surroundings = surroundingsOf({ name: "p", driver: "process", components: chain });
    const hops = chain.map(({ id }) => surroundings.get(id)!.inFlightAllowance.events / 2048);
    expect(hops).toEqual([1, 0, 0, 6, 6, 5, 4, 3, 2, 1, 0, 0]);
    expect(surroundings.get("c5")!.inFlightAllowance.bytes).toBe(5 * 1024 * 1024);
  });
});
