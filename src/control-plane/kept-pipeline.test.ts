import { beforeEach, describe, expect, it } from "vitest";
import { type FakeClock, fakeClock } from "../foundation/clock.fake.ts";
import { KeptPipelines } from "./kept-pipeline.ts";
import { loadKeptState } from "./kept-state.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { Registry } from "./registry.ts";
import { StateWriter } from "./state-writer.ts";
import { createMemoryStore } from "./store/memory-store.ts";

let clock: FakeClock;
let registry: Registry;
let kept: KeptPipelines;
let writer: StateWriter;
let store: ReturnType<typeof createMemoryStore>;

const ids = ["source", "processor", "sink"];
const content = (text: string): Uint8Array => Buffer.from(text);
const texts = (): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(kept.current).map(([name, value]) => [name, String(value)]));

/** It registers, and the control plane hears that it works. */
function comes(id: string, run = "1"): void {
  registry.register(registration(incarnation(id, 1, run)));
  registry.heartbeat({ ...incarnation(id, 1, run), metrics: null, degradedReason: "" });
  registry.probed(id, `${id}-1`, incarnation(id, 1, run).incarnation, { result: "passing", failures: 0, detail: "" });
}

beforeEach(() => {
  clock = fakeClock(1_000_000);
  const journal = {
    event: () => undefined,
    pipelineChanged: () => undefined,
    instanceChanged: () => undefined,
    instanceRemoved: () => undefined,
  };
  registry = new Registry({
    pipeline: "p",
    clock,
    unhealthyAfterMs: 30_000,
    journal,
    restored: { pipeline: undefined, instances: [] },
  });
  store = createMemoryStore();
  writer = new StateWriter(store, () => undefined);
  kept = new KeptPipelines(registry, writer, {});
  registry.apply(linearPipeline());
});

describe("what a command has carried out", () => {
  it("is known to work once every instance is healthy, and stays that whatever becomes of them", () => {
    kept.keep(content("one"), clock.now());
    comes("source");
    comes("processor");
    kept.refresh();
    expect(texts()).toEqual({ latest: "one" });
    comes("sink");
    kept.refresh();
    expect(texts()).toEqual({ latest: "one", healthy: "one" });
    registry.report({ componentId: "sink", instanceId: "sink-1", observation: "exited", exitCode: 1 }, clock.now());
    kept.refresh();
    expect(texts()).toEqual({ latest: "one", healthy: "one" });
  });

  it("is forgotten at the next change, of which nothing is known before it works", async () => {
    for (const id of ids) comes(id);
    kept.keep(content("one"), clock.now());
    kept.applied();
    expect(texts()).toEqual({ healthy: "one" });
    registry.report({ componentId: "sink", instanceId: "sink-1", observation: "exited", exitCode: 1 }, clock.now());
    kept.keep(content("two"), clock.now());
    expect(texts()).toEqual({ latest: "two", healthy: "one" });
    await clock.advance(1);
    comes("sink", "2");
    kept.refresh();
    expect(texts()).toEqual({ latest: "two", healthy: "two" });
  });

  it("does not work by what it is about to replace", async () => {
    for (const id of ids) comes(id);
    const operation = registry.operations.hold({ command: "up", holder: "me" }, false);
    registry.setDesired({ renewed: ["sink-1"] });
    await clock.advance(1);
    kept.keep(content("one"), clock.now());
    operation.release();
    kept.refresh();
    expect(texts()).toEqual({ latest: "one" });
    await clock.advance(1);
    comes("sink", "2");
    kept.refresh();
    expect(texts()).toEqual({ latest: "one", healthy: "one" });
  });

  it("is forgotten when nothing of it runs any more", async () => {
    for (const id of ids) comes(id);
    kept.keep(content("one"), clock.now());
    kept.keep(content(""), clock.now());
    expect(texts()).toEqual({});
    await writer.durable();
    expect((await loadKeptState(store)).given).toEqual({});
  });

  it("is there after a restart of the control plane, and is limited in size", async () => {
    for (const id of ids) comes(id);
    kept.keep(content("one"), clock.now());
    await writer.durable();
    const { given } = await loadKeptState(store);
    expect([String(given.latest), String(given.healthy)]).toEqual(["one", "one"]);
    expect(() => kept.keep(new Uint8Array((1 << 20) + 1), clock.now())).toThrow(
      expect.objectContaining({ code: "control/too-large", kind: "invalid" }),
    );
  });
});
