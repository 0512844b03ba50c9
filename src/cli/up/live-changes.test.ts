import { describe, expect, it } from "vitest";
import type { ComponentSpec, InputSpec, PipelineSpec } from "../../protocol/records.ts";
import { liveChanges } from "./live-changes.ts";

function sink(changes: Partial<ComponentSpec>): ComponentSpec {
  const onError = { action: "fail", to: "", retries: 0, backoffMs: 0 } as const;
  const inputs: readonly InputSpec[] = [{ from: "feed", types: [] }];
  const usual = { replicas: 1, consumes: [], produces: [], partitionBy: "", maxRestarts: 5, onError, inputs };
  return { id: "out", type: "sink", ...usual, ...changes };
}

const spec = (changes: Partial<ComponentSpec> = {}): PipelineSpec => ({
  name: "p",
  driver: "process",
  components: [sink(changes)],
});

const shown = (before: Partial<ComponentSpec>, next: Partial<ComponentSpec>): readonly string[] =>
  liveChanges(spec(before), spec(next)).map(({ key, from, to }) => `${key}: ${from} -> ${to}`);

describe("live changes", () => {
  const disk = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" } as const;
  const lossy = { type: "memory", maxEvents: 10, maxBytes: 0, whenFull: "drop_newest" } as const;

  it("are none for the same pipeline, for the first one, and for components that come or go", () => {
    expect(liveChanges(spec(), spec())).toEqual([]);
    expect(liveChanges(undefined, spec())).toEqual([]);
    expect(liveChanges({ ...spec(), components: [] }, spec())).toEqual([]);
  });

  it("name every setting that is applied while the pipeline runs on", () => {
    expect(shown({}, { inputs: [{ from: "other", types: [] }] })).toEqual([
      "inputs.other: none -> added",
      "inputs.feed: present -> removed",
    ]);
    expect(shown({}, { inputs: [{ from: "feed", types: ["a"], buffer: disk }] })).toEqual([
      "inputs.feed.types: all -> a",
      "inputs.feed.buffer: none -> disk 10 events block",
    ]);
    expect(shown({}, { partitionBy: "key" })).toEqual(["partition_by: none -> key"]);
    expect(shown({}, { onError: { action: "dead_letter", to: "bad", retries: 1, backoffMs: 5 } })).toEqual([
      "on_error: fail -> dead_letter to bad, 1 retries, backoff 5 ms",
    ]);
    expect(shown({}, { consumes: ["a"], produces: ["b"] })).toEqual(["consumes: all -> a", "produces: all -> b"]);
    expect(shown({}, { maxRestarts: 0 })).toEqual(["restart: 5 in a row -> 0 in a row"]);
  });

  it("say what scaling means for events and positions", () => {
    const effect = (type: ComponentSpec["type"], before: number, next: number): string | undefined =>
      liveChanges(spec({ type, replicas: before }), spec({ type, replicas: next }))[0]?.effect;
    expect(shown({}, { replicas: 2 })).toEqual(["deploy.replicas: 1 -> 2"]);
    expect(effect("source", 2, 1)).toContain("positions");
    expect(effect("sink", 1, 2)).toContain("new instances");
    expect(effect("sink", 2, 1)).toContain("leaving instance");
  });

  it("say that an input may lose events from now on", () => {
    const [change] = liveChanges(spec(), spec({ inputs: [{ from: "feed", types: [], buffer: lossy }] }));
    expect(change?.effect).toContain("at most once");
  });
});
