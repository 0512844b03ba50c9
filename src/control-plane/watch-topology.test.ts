import { expect, it } from "vitest";
import type { PartitionTable } from "./partitions/partition-table.ts";
import { componentSpec } from "./pipeline.fake.ts";
import { Kept } from "./registry.fake.ts";
import { StateWriter } from "./state-writer.ts";
import { createMemoryStore } from "./store/memory-store.ts";
import { watchTopology } from "./watch-topology.ts";

const partitions: Pick<PartitionTable, "viewOf"> = { viewOf: () => ({ assignments: [], partitionsFinished: false }) };

it("a change of the topology is told to nobody before it is on the disk", async () => {
  const memory = createMemoryStore();
  const writes: (() => void)[] = [];
  const writer = new StateWriter(
    { ...memory, write: () => new Promise((written) => writes.push(written)) },
    () => undefined,
  );
  const registry = new Kept().open();
  const components = [componentSpec({ id: "a", type: "source" }), componentSpec({ id: "b", type: "sink" }, "a")];
  registry.apply({ name: "p", driver: "docker", components });
  writer.put("pipeline", () => Buffer.from("a change"));
  const end = new AbortController();
  const told = watchTopology(
    { registry, partitions, replays: { upstreamsOf: () => [] }, writer },
    { pipeline: "p", componentId: "a", instanceId: "a-1" },
    "control-plane:1",
    end.signal,
  );
  let first: unknown;
  const next = told.next().then(({ value }) => {
    first = value;
  });
  await new Promise((wake) => setImmediate(wake));
  expect(writes).toHaveLength(1);
  expect(first).toBeUndefined();
  writes.shift()?.();
  await next;
  expect(first).toMatchObject({ topology: { downstreams: [{ componentId: "b" }] } });
  end.abort();
});
