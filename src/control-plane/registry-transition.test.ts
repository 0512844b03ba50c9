import { beforeEach, describe, expect, it } from "vitest";
import type { FakeClock } from "../foundation/clock.fake.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import { everyFeature, type Feature } from "../protocol/features.ts";
import type { BufferSpec, ComponentSpec } from "../protocol/records.ts";
import type { IncarnationReference } from "../protocol/registry-codec.ts";
import { componentSpec, incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { codeOf, Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

type Three = [ComponentSpec, ComponentSpec, ComponentSpec];

let clock: FakeClock;
let kept: Kept;
let registry: Registry;

const bye = (who: IncarnationReference, reason: "completed" | "failed" = "completed") =>
  registry.deregister({ ...who, reason, message: "", metrics: noMetrics });

beforeEach(() => {
  kept = new Kept();
  clock = kept.clock;
  registry = kept.open();
  registry.apply(linearPipeline());
});

describe("a changed pipeline", () => {
  it("drops the instances that a changed pipeline does not have any more", () => {
    const spec = linearPipeline();
    const [source, ...rest] = spec.components as Three;
    registry.apply({ ...spec, components: [{ ...source, replicas: 2 }, ...rest] });
    const two = incarnation("source", 2);
    registry.register(registration(incarnation("source", 1)));
    registry.register(registration(two));
    expect(registry.apply(spec)).toBe(true);
    bye(two);
    expect(registry.component("source").instances.map(({ id }) => id)).toEqual(["source-1"]);
    // With no processor there is nobody that it could hand on to.
    registry.apply({ ...spec, components: rest.slice(1).map((c) => ({ ...c, inputs: [] })) });
    expect(registry.entries()).toEqual([]);
  });

  it("keeps a removed component that others still need until it has completed, and says so meanwhile", () => {
    const [source, , sink] = linearPipeline().components as Three;
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
    const direct = { ...linearPipeline(), components: [source, { ...sink, inputs: [{ from: "source", types: [] }] }] };
    expect(registry.apply(direct)).toBe(true);
    expect(registry.apply(direct)).toBe(false);
    expect(registry.pipeline().draining).toEqual([{ componentId: "processor", instanceId: "", from: "" }]);
    expect(registry.topology(incarnation("source")).downstreams).toMatchObject([
      { componentId: "sink" },
      { componentId: "processor", draining: true },
    ]);
    expect(registry.topology(incarnation("sink")).upstreams.map(({ componentId }) => componentId)).toEqual([
      "source",
      "processor",
    ]);
    registry = kept.open();
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id, 1, "2")));
    bye(incarnation("processor", 1, "2"));
    expect(registry.pipeline().draining).toBeUndefined();
    expect(registry.topology(incarnation("sink")).upstreams.map(({ componentId }) => componentId)).toEqual(["source"]);
    expect(registry.spec?.components.map(({ id }) => id)).toEqual(["source", "sink"]);
  });

  it("keeps a removed input until every instance above it has said that it owes nothing more", () => {
    const [one, processor, sink] = linearPipeline().components as Three;
    const source = { ...one, replicas: 2 };
    const both = { ...sink, inputs: [...sink.inputs, { from: "source", types: [] }] };
    registry.apply({ ...linearPipeline(), components: [source, processor, both] });
    const instances = [incarnation("source", 1), incarnation("source", 2)];
    for (const who of [...instances, incarnation("processor"), incarnation("sink")])
      registry.register(registration(who));
    registry.apply({ ...linearPipeline(), components: [source, processor, sink] });
    const drains = () => registry.topology(incarnation("sink")).upstreams.some(({ draining }) => draining);
    const drained = (who: IncarnationReference) =>
      registry.heartbeat({ ...who, metrics: noMetrics, degradedReason: "", drainedGroups: ["sink"] });
    expect(drains()).toBe(true);
    drained(instances[0]!);
    expect(drains()).toBe(true);
    drained(instances[1]!);
    expect(drains()).toBe(false);
  });

  /** The input of the sink moves from `processor` to `other`, while all of them run. */
  const moveInput = (given: { readonly buffer?: BufferSpec; readonly otherFeatures?: readonly Feature[] } = {}) => {
    const { buffer, otherFeatures } = given;
    const [source, processor, sink] = linearPipeline().components as Three;
    const buffered = {
      ...processor,
      inputs: [{ from: "source", types: [], ...(buffer === undefined ? {} : { buffer }) }],
    };
    const other = componentSpec({ id: "other", type: "processor" }, "source");
    const from = (id: string) => ({
      ...linearPipeline(),
      components: [source, buffered, other, { ...sink, inputs: [{ from: id, types: [] }] }],
    });
    registry.apply(from("processor"));
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
    const features = otherFeatures === undefined ? {} : { features: otherFeatures };
    registry.register(registration(incarnation("other"), { type: "processor", ...features }));
    const ways = () =>
      registry
        .topology(incarnation("sink"))
        .upstreams.map(({ componentId, draining }) => `${componentId}${draining ? " drains" : ""}`)
        .sort();
    const says = (
      id: string,
      heardMark: number,
      settledMarks: Record<string, number> = {},
      drainedGroups: string[] = [],
    ) =>
      registry.heartbeat({
        ...incarnation(id),
        metrics: noMetrics,
        degradedReason: "",
        heardMark,
        settledMarks,
        drainedGroups,
      });
    const markOf = (id: string, below: string) =>
      registry.topology(incarnation(id)).downstreams.find(({ componentId }) => componentId === below)?.mark;
    registry.apply(from("other"));
    return { ways, says, markOf, begun: markOf("other", "sink")! };
  };

  it("cuts off an input for another one only when everybody has said that they know of that, and have caught up", () => {
    const { ways, says, markOf, begun } = moveInput();
    expect(ways()).toEqual(["other", "processor"]);
    // Nothing drains yet that a command would have to wait for.
    expect(registry.pipeline().draining).toBeUndefined();
    // Whatever a control plane before this one, which is forgotten, may have said.
    expect(begun).toBeGreaterThan(clock.now());
    says("source", begun);
    says("other", begun - 1);
    expect(markOf("source", "processor")).toBeUndefined();
    says("other", begun);
    // What the source had sent to the old way by now has to pass it.
    const caughtUp = markOf("source", "processor")!;
    expect(caughtUp).toBeGreaterThan(begun);
    says("source", caughtUp);
    expect(ways()).toEqual(["other", "processor"]);
    says("source", caughtUp, { processor: caughtUp });
    expect(ways()).toEqual(["other", "processor drains"]);
    says("processor", 0, {}, ["sink"]);
    expect(ways()).toEqual(["other"]);
    expect(registry.spec?.handover).toBeUndefined();
  });

  it("waits for no word of a component that does not support marks", () => {
    const { markOf } = moveInput({ otherFeatures: everyFeature.filter((one) => one !== "marks") });
    expect(markOf("source", "processor")).toBeGreaterThan(clock.now());
  });

  it.each([
    ["what is on its disk", { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" } as const, "processor"],
    ["nothing where it has no disk", undefined, "processor drains"],
  ])("waits with an input for %s, of a component that has stopped", (_, buffer, way) => {
    const { ways, says, markOf, begun } = moveInput(buffer === undefined ? {} : { buffer });
    says("source", begun);
    says("other", begun);
    expect(markOf("source", "processor")).toBeGreaterThan(begun);
    registry.deregister({ ...incarnation("source"), reason: "stopped", message: "", metrics: noMetrics });
    says("other", begun);
    expect(ways()).toEqual(["other", way]);
  });

  it("takes no old word that a group has drained for a new one, when its input is back and removed again", () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const both = { ...sink, inputs: [...sink.inputs, { from: "source", types: [] }] };
    const withEdge = { ...linearPipeline(), components: [source, processor, both] };
    registry.apply(withEdge);
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
    registry.apply(linearPipeline());
    const drained = { metrics: noMetrics, degradedReason: "", drainedGroups: ["sink"] };
    registry.heartbeat({ ...incarnation("source"), ...drained });
    registry.apply(withEdge);
    registry.apply(linearPipeline());
    const drains = () => registry.topology(incarnation("source")).downstreams.map(({ draining }) => draining ?? false);
    expect(drains()).toEqual([false, true]);
    registry.heartbeat({ ...incarnation("source"), ...drained });
    expect(drains()).toEqual([false]);
  });

  it("refuses to give up what was with an instance that has crashed since the last heartbeat of who feeds it", async () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const both = { ...sink, inputs: [...sink.inputs, { from: "source", types: [] }] };
    registry.apply({ ...linearPipeline(), components: [source, processor, both] });
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
    const heard = { ...incarnation("source"), metrics: noMetrics, degradedReason: "" };
    registry.heartbeat(heard);
    await clock.advance(1_000);
    bye({ ...incarnation("processor") }, "failed");
    const without = { ...linearPipeline(), components: [source, { ...sink, inputs: [{ from: "source", types: [] }] }] };
    expect(codeOf(() => registry.apply(without))).toBe("registry/would-lose-events");
    await clock.advance(1_000);
    registry.heartbeat(heard);
    expect(codeOf(() => registry.apply(without))).toBe("none");
  });

  it("tells an instance that was scaled away to leave, and keeps it until it has", () => {
    const [source, ...rest] = linearPipeline().components as Three;
    registry.apply({ ...linearPipeline(), components: [{ ...source, replicas: 2 }, ...rest] });
    const two = incarnation("source", 2);
    for (const who of [incarnation("source", 1), two]) registry.register(registration(who));
    registry.apply(linearPipeline());
    expect(registry.topology(two).leaving).toBe(true);
    expect(registry.topology(incarnation("source", 1)).leaving).toBeUndefined();
    expect(registry.pipeline().draining).toEqual([{ componentId: "source", instanceId: "source-2", from: "" }]);
    bye(two);
    expect(registry.pipeline().draining).toBeUndefined();
  });

  it("waits for a removed component that has yet to start, and refuses the change once that does not work", () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const before = {
      ...linearPipeline(),
      components: [source, { ...processor, inputs: [{ from: "source", types: [], buffer: disk }] }, sink],
    };
    registry.apply(before);
    for (const id of ["source", "sink"]) registry.register(registration(incarnation(id)));
    const report = (observation: "started" | "exited"): void =>
      registry.report(
        { ...{ componentId: "processor", instanceId: "processor-1", observation }, exitCode: 1, message: "" },
        clock.now(),
      );
    const without = { ...before, components: [source, { ...sink, inputs: [{ from: "source", types: [] }] }] };
    const existing = ["source-1", "processor-1", "sink-1"];
    const refusal = () => codeOf(() => registry.check(without, { existing }));
    expect(refusal()).toBe("registry/would-lose-events");
    report("started");
    expect(refusal()).toBe("registry/still-starting");
    expect(codeOf(() => registry.check(without))).toBe("registry/would-lose-events");
    report("exited");
    expect(refusal()).toBe("registry/would-lose-events");
    report("started");
    registry.register(registration(incarnation("processor")));
    expect(registry.apply(without, { existing })).toBe(true);
    expect(registry.pipeline().draining).toContainEqual({ componentId: "processor", instanceId: "", from: "" });
  });

  it("refuses a change that would give up accepted events, before it changes anything, unless told to", () => {
    const [source, , sink] = linearPipeline().components as Three;
    const both = { ...sink, inputs: [...sink.inputs, { from: "source", types: [] }] };
    const before = { ...linearPipeline(), components: [source, linearPipeline().components[1]!, both] };
    registry.apply(before);
    registry.register(registration(incarnation("source")));
    registry.heartbeat({
      ...incarnation("source"),
      metrics: { ...noMetrics, waiting: { processor: 7 } },
      degradedReason: "",
    });
    const without = { ...before, components: [source, { ...sink, inputs: [{ from: "source", types: [] }] }] };
    expect(codeOf(() => registry.apply(without))).toBe("registry/would-lose-events");
    expect(registry.spec?.components.map(({ id }) => id)).toEqual(["source", "processor", "sink"]);
    expect(registry.apply(without, { discard: true })).toBe(true);
    expect(registry.spec?.components.map(({ id }) => id)).toEqual(["source", "sink"]);
  });

  it("refuses to rename a sink while its events may be on a disk, and renames it while they cannot be", async () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const disk = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" } as const;
    const named = (id: string) => ({
      ...linearPipeline(),
      components: [source, processor, { ...sink, id, inputs: [{ from: "processor", types: [], buffer: disk }] }],
    });
    registry.apply(named("sink"));
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
    bye(incarnation("sink"), "failed");
    expect(() => registry.apply(named("other"))).toThrow(
      /^the change .* processor may hold events for sink in a disk buffer/,
    );
    // That nothing waited when it was last heard of says nothing of what has come since.
    await clock.advance(1_000);
    registry.heartbeat({ ...incarnation("processor"), metrics: noMetrics, degradedReason: "" });
    expect(codeOf(() => registry.apply(named("other")))).toBe("registry/would-lose-events");
    bye(incarnation("processor"), "completed");
    expect(codeOf(() => registry.apply(named("other")))).toBe("none");
  });

  it("does not believe what an upstream said while the sink below it was still to end", async () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const named = (id: string) => ({ ...linearPipeline(), components: [source, processor, { ...sink, id }] });
    registry.apply(named("sink"));
    // What the processor owes it could not hand over.
    for (const id of ["source", "processor", "sink"])
      registry.register(registration(incarnation(id), { features: [] }));
    const beat = () => registry.heartbeat({ ...incarnation("processor"), metrics: noMetrics, degradedReason: "" });
    await clock.advance(1_000);
    registry.setDesired({ stopped: ["sink-1"] });
    await clock.advance(5_000);
    // The sink has it all, unacknowledged.
    beat();
    expect(codeOf(() => registry.apply(named("other")))).toBe("registry/would-lose-events");
    await clock.advance(5_000);
    bye(incarnation("sink"), "failed");
    expect(codeOf(() => registry.apply(named("other")))).toBe("registry/would-lose-events");
    await clock.advance(1_000);
    beat();
    expect(codeOf(() => registry.apply(named("other")))).toBe("none");
  });

  const removed = (id: string) =>
    registry.report({ componentId: id.slice(0, -2), instanceId: id, observation: "removed" }, clock.now());
  const disk = { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" } as const;

  it("does not take an instance for left that was taken away while it had a buffer on disk to hand on", () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const buffered = { ...sink, inputs: [{ from: "processor", types: [], buffer: disk }] };
    const scaled = (replicas: number) => ({
      ...linearPipeline(),
      components: [source, { ...processor, replicas }, buffered],
    });
    registry.apply(scaled(2));
    const two = incarnation("processor", 2);
    for (const who of [incarnation("source"), incarnation("processor"), two, incarnation("sink")])
      registry.register(registration(who));
    registry.apply(scaled(1));
    removed("processor-2");
    const seen = (): unknown => registry.entry("processor", "processor-2")?.data.state;
    const said = { name: "failed", reason: expect.stringContaining("are not delivered") };
    expect(seen()).toMatchObject(said);
    expect(registry.pipeline()).toMatchObject({ state: "failed", draining: [{ instanceId: "processor-2" }] });
    registry = kept.open();
    expect(seen()).toMatchObject(said);
    const again = { existing: ["source-1", "processor-1", "sink-1"] };
    expect(codeOf(() => registry.apply(scaled(1), again))).toBe("registry/would-lose-events");
    expect(codeOf(() => registry.apply(scaled(1), { ...again, discard: true }))).toBe("none");
    expect(registry.pipeline().draining).toBeUndefined();
    expect(registry.entry("processor", "processor-2")).toBeUndefined();
  });

  it("takes an instance for left that was taken away and had nothing that others cannot have", () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    registry.apply({ ...linearPipeline(), components: [source, { ...processor, replicas: 2 }, sink] });
    for (const who of [incarnation("source"), incarnation("processor"), incarnation("processor", 2)])
      registry.register(registration(who));
    registry.apply(linearPipeline());
    removed("processor-2");
    expect(registry.pipeline().draining).toBeUndefined();
  });

  it("does not take a component for left when its last instance was taken away", () => {
    const [source, , sink] = linearPipeline().components as Three;
    for (const id of ["source", "processor", "sink"]) registry.register(registration(incarnation(id)));
    const without = { ...linearPipeline(), components: [source, { ...sink, inputs: [{ from: "source", types: [] }] }] };
    registry.apply(without);
    removed("processor-1");
    expect(registry.pipeline()).toMatchObject({ state: "failed", draining: [{ componentId: "processor" }] });
    expect(registry.topology(incarnation("source")).downstreams).toContainEqual(
      expect.objectContaining({ componentId: "processor", draining: true }),
    );
  });

  it("refuses to cut an edge that the component above cannot drain, with what to do about it", () => {
    const [source, processor, sink] = linearPipeline().components as Three;
    const both = { ...sink, inputs: [...sink.inputs, { from: "source", types: [] }] };
    registry.apply({ ...linearPipeline(), components: [source, processor, both] });
    registry.register(registration(incarnation("source"), { features: [] }));
    for (const id of ["processor", "sink"]) registry.register(registration(incarnation(id)));
    expect(codeOf(() => registry.apply(linearPipeline()))).toBe("registry/would-lose-events");
    expect(() => registry.apply(linearPipeline())).toThrow(/source does not support draining.* for sink/);
    expect(codeOf(() => registry.apply(linearPipeline(), { discard: true }))).toBe("none");
  });
});
