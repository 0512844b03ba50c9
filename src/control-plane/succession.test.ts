import { describe, expect, it } from "vitest";
import { noMetrics } from "../protocol/component-codec.ts";
import { everyFeature } from "../protocol/features.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";
import { componentSpec, incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { codeOf, Kept } from "./registry.fake.ts";
import { type Running, transitionOf } from "./transition.ts";

const yes = (): boolean => true;
const runs: Running = {
  ...{ isLive: yes, exists: yes, isStarting: () => false, runs: yes, leaves: yes },
  ...{ drains: yes, hasRest: yes, owes: yes },
};
const disk = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" } as const;
const [source, processor, sink] = linearPipeline().components as [ComponentSpec, ComponentSpec, ComponentSpec];
const spec = (...components: ComponentSpec[]): PipelineSpec => ({ ...linearPipeline(), components });
const src = componentSpec({ id: "s", type: "source" });
const proc = (id: string, from: string) => componentSpec({ id, type: "processor" }, from);
const end = (id: string, ...from: string[]) => componentSpec({ id, type: "sink" }, ...from);
const heirs = (before: PipelineSpec, next: PipelineSpec) =>
  transitionOf(before, next, runs).spec.components.flatMap(({ id, inputs }) =>
    inputs
      .filter(({ takesOver }) => takesOver !== undefined)
      .map(({ from, takesOver }) => `${from} > ${id}[${takesOver!.join(" ")}]`),
  );

describe("what takes the place of a removed sink", () => {
  it("does not give a sink that stays what a processor has been giving it all along", () => {
    // s > a > y, s > z  ->  s > y: y has, by way of a, every event that z was owed.
    expect(heirs(spec(src, proc("a", "s"), end("y", "a"), end("z", "s")), spec(src, end("y", "s")))).toEqual([]);
  });

  it("names what is on the disk within a removed branch that another branch takes the place of", () => {
    const y = { ...end("y", "a"), inputs: [{ from: "a", types: [], buffer: disk }] };
    const x = { ...end("x", "c"), inputs: [{ from: "c", types: [], buffer: disk }] };
    const { stranded } = transitionOf(spec(src, proc("a", "s"), y), spec(src, proc("c", "s"), x), runs);
    expect(stranded).not.toEqual([]);
  });

  it("lets the successor be removed, too, by somebody whose upstream has not told since", () => {
    const renamed = transitionOf(
      spec(src, end("z", "s"), end("w", "s")),
      spec(src, end("y", "s"), end("w", "s")),
      runs,
    );
    expect(renamed.stranded).toEqual([]);
    expect(transitionOf(renamed.spec, spec(src, end("w", "s")), runs).stranded).toEqual([]);
  });

  it("gives a sink whose input still drains what it has not had since it was taken away", () => {
    const other = componentSpec({ id: "t", type: "source" });
    const taken = transitionOf(
      spec(src, other, end("z", "s"), end("y", "s", "t")),
      spec(src, other, end("z", "s"), end("y", "t")),
      runs,
    );
    expect(heirs(taken.spec, spec(src, other, end("y", "t", "s")))).toEqual(["s > y[z]"]);
  });

  it("gives a sink that is to take more types what it did not take before", () => {
    const some = { ...end("y"), inputs: [{ from: "s", types: ["a"] }] };
    const before = spec(src, end("z", "s"), some);
    expect(heirs(before, spec(src, end("y", "s")))).toEqual(["s > y[z]"]);
    expect(heirs(before, spec(src, some))).toEqual([]);
  });

  describe("a sink with a buffer on disk that stays as dead-letter target alone", () => {
    const letters = { action: "dead_letter", to: "d", retries: 0, backoffMs: 0 } as const;
    const a = (replicas: number): ComponentSpec => ({ ...proc("a", "s"), onError: letters, replicas });
    const d = (input?: object): ComponentSpec => ({
      ...end("d"),
      inputs: input === undefined ? [] : [{ from: "a", types: [], ...input }],
    });
    const oneIsGone: Running = { ...runs, isLive: () => false, runs: () => false, exists: (id) => id !== "a-2" };
    const taken = transitionOf(
      spec(src, a(2), end("z", "a"), d({ buffer: disk })),
      spec(src, a(2), end("z", "a"), d()),
      runs,
    );

    it("keeps what is there from going with an instance that is scaled away", () => {
      const { stranded } = transitionOf(taken.spec, spec(src, a(1), end("z", "a"), d()), oneIsGone);
      expect(stranded).toEqual([{ name: "a-2", upstream: undefined }]);
    });

    it("remembers it over further changes, also with another buffer", () => {
      const again = transitionOf(taken.spec, spec(src, a(2), end("z", "a"), d({})), runs);
      const { stranded } = transitionOf(again.spec, spec(src, a(1), end("z", "a"), d({})), oneIsGone);
      expect(stranded).toEqual([{ name: "a-2", upstream: undefined }]);
    });

    it("remembers it when dead letters go elsewhere, until what is there was delivered", () => {
      const elsewhere = transitionOf(
        taken.spec,
        spec(src, { ...a(2), onError: processor.onError }, end("z", "a"), d()),
        runs,
      );
      const draining = elsewhere.spec.components.find(({ id }) => id === "d")!.inputs;
      expect(draining).toMatchObject([{ from: "a", draining: true, hadDisk: true }]);
    });
  });

  const waits = (waiting: Record<string, number>) => ({ metrics: { ...noMetrics, waiting }, degradedReason: "" });

  it("does not believe a heartbeat from before the sink of a removed branch was stopped", async () => {
    const kept = new Kept();
    const registry = kept.open();
    const ids = (a: string, z: string) =>
      spec(
        source,
        { ...processor, id: a, inputs: [{ from: "source", types: [], buffer: disk }] },
        { ...sink, id: z, inputs: [{ from: a, types: [] }] },
      );
    registry.apply(ids("processor", "sink"));
    for (const id of ["source", "processor", "sink"])
      registry.register(registration(incarnation(id), { features: everyFeature }));
    await kept.clock.advance(1_000);
    registry.heartbeat({ ...incarnation("source"), ...waits({ processor: 0 }) });
    await kept.clock.advance(1_000);
    registry.setDesired({ stopped: ["sink-1"] });
    await kept.clock.advance(1_000);
    registry.deregister({ ...incarnation("sink"), reason: "stopped", message: "", metrics: noMetrics });
    // Since the sink stopped, what comes stays on the disk of the source, and nobody has said so yet.
    expect(codeOf(() => registry.apply(ids("b", "y")))).toBe("registry/would-lose-events");
  });

  it("believes a heartbeat from after the end of a removed component, also when the clock was set back since", async () => {
    const kept = new Kept();
    const registry = kept.open();
    const direct = { ...sink, inputs: ["processor", "source"].map((from) => ({ from, types: [] })) };
    registry.apply(spec(source, processor, direct));
    for (const id of ["source", "processor", "sink"])
      registry.register(registration(incarnation(id), { features: everyFeature }));
    await kept.clock.advance(1_000);
    registry.deregister({ ...incarnation("processor"), reason: "stopped", message: "", metrics: noMetrics });
    await kept.clock.advance(1_000);
    kept.clock.jump(-600_000);
    registry.clockJumped(-600_000);
    await kept.clock.advance(1_000);
    registry.heartbeat({ ...incarnation("source"), ...waits({ processor: 0 }) });
    const removed = spec(source, { ...sink, inputs: [{ from: "source", types: [] }] });
    expect(codeOf(() => registry.check(removed, { existing: [] }))).toBe("none");
  });
});
