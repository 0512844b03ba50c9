import { describe, expect, it } from "vitest";
import { newInstance } from "./instance.ts";
import {
  keepEvent,
  keepInstance,
  keepPartition,
  keepPipeline,
  keepSource,
  loadKeptState,
  partitionOfKey,
  positionKey,
} from "./kept-state.ts";
import { linearPipeline } from "./pipeline.fake.ts";
import { PipelineEvents } from "./pipeline-events.ts";
import { StateWriter } from "./state-writer.ts";
import { createMemoryStore } from "./store/memory-store.ts";

describe("what a control plane keeps", () => {
  it("is there again: pipeline, instances, positions, who reads what, and the last events in their order", async () => {
    const store = createMemoryStore();
    const writer = new StateWriter(store, () => undefined);
    const pipeline = { spec: linearPipeline(), state: "running", reason: "", startedAt: 7 } as const;
    const { data } = newInstance("source", "source-1", 5);
    keepPipeline(writer, pipeline);
    keepInstance(writer, data);
    const part = { id: "/a/b %", identity: "ü/" };
    writer.put(positionKey("source", part), () => Buffer.from("position"));
    const partition = { componentId: "source", ...part, owner: "source-1", epoch: 3, finished: false };
    keepPartition(writer, partition, () => partition);
    const source = { componentId: "source", declared: [part], over: false };
    keepSource(writer, source);
    const log = new PipelineEvents({ capacity: 12, kept: [], onAppend: (event, out) => keepEvent(writer, event, out) });
    for (let number = 1; number <= 20; number++) log.append({ type: "t", message: `event ${number}` }, number);
    await writer.durable();

    const kept = await loadKeptState(store);
    expect(kept.pipeline).toEqual(pipeline);
    expect(kept.instances).toEqual([data]);
    expect([...kept.positions.values()].map(String)).toEqual(["position"]);
    expect([...kept.positions.keys()].map(partitionOfKey)).toEqual([{ componentId: "source", ...part }]);
    expect(kept.partitions).toEqual([partition]);
    expect(kept.sources).toEqual([source]);
    expect(kept.events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 12 }, (_, index) => index + 9));
  });

  it("is refused when a value is not what was written", async () => {
    const store = createMemoryStore();
    await store.write([{ type: "put", key: "pipeline", value: Buffer.from("{") }], { durable: true });
    await expect(loadKeptState(store)).rejects.toMatchObject({ code: "store/damaged", kind: "failed" });
  });
});
