import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { FakeClock } from "../foundation/clock.fake.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import type { IncarnationReference } from "../protocol/registry-codec.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { codeOf, Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let clock: FakeClock;
let kept: Kept;
let registry: Registry;

const beat = (who: IncarnationReference, degradedReason = "") =>
  registry.heartbeat({ ...who, metrics: noMetrics, degradedReason });
const bye = (who: IncarnationReference, reason: "completed" | "stopped" | "failed", message = "") =>
  registry.deregister({ ...who, reason, message, metrics: noMetrics });
const stateOf = (id: string) => registry.component(id).state;

beforeEach(() => {
  kept = new Kept();
  clock = kept.clock;
  registry = kept.open();
  registry.apply(linearPipeline());
});

describe("registration", () => {
  const source = incarnation("source");

  it("is refused for what does not fit the pipeline, each with its own code", () => {
    expect(codeOf(() => registry.register(registration({ ...source, pipeline: "q" })))).toBe("registry/wrong-pipeline");
    expect(codeOf(() => registry.register(registration(incarnation("nobody"), { type: "sink" })))).toBe(
      "registry/unknown-component",
    );
    expect(codeOf(() => registry.register(registration(source, { type: "sink" })))).toBe("registry/wrong-type");
    expect(codeOf(() => registry.register(registration(source, { address: "" })))).toBe("registry/no-address");
    expect(registry.component("processor").instances).toEqual([]);
  });

  it("is refused as unavailable, to be tried again, before the pipeline was applied", () => {
    registry = new Kept(clock).open();
    try {
      registry.register(registration(source));
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: "registry/no-pipeline", kind: "unavailable" });
    }
  });

  it("is refused when the declared event types of an edge cannot meet, whichever end comes second", () => {
    registry.register(registration(source, { produces: ["quake.v1"] }));
    const processor = registration(incarnation("processor"), { consumes: ["flight.v1"] });
    expect(codeOf(() => registry.register(processor))).toBe("registry/types-cannot-meet");
    registry.register({ ...processor, consumes: ["quake.v1"] });
    const later = registration(incarnation("source", 1, "2"), { produces: ["flight.v1"] });
    expect(codeOf(() => registry.register(later))).toBe("registry/types-cannot-meet");
    expect(registry.component("source").instances[0]?.produces).toEqual(["quake.v1"]);
  });

  it("is refused when the input lets no type pass that the component takes", () => {
    const spec = linearPipeline();
    const filtered = spec.components.map((component) =>
      component.id === "processor" ? { ...component, inputs: [{ from: "source", types: ["a.v1"] }] } : component,
    );
    registry.apply({ ...spec, components: filtered });
    const processor = registration(incarnation("processor"), { consumes: ["b.v1"] });
    expect(codeOf(() => registry.register(processor))).toBe("registry/types-cannot-meet");
  });

  it("of a new start supersedes the one before, which can neither speak nor come back", () => {
    const [first, second] = [incarnation("source", 1, "1"), incarnation("source", 1, "2")];
    registry.register(registration(first));
    registry.register(registration(second, { address: "elsewhere:1" }));
    expect(codeOf(() => beat(first))).toBe("registry/unknown-instance");
    expect(codeOf(() => bye(first, "completed"))).toBe("registry/unknown-instance");
    expect(codeOf(() => registry.register(registration(first)))).toBe("registry/superseded");
    expect(registry.component("source")).toMatchObject({
      state: "healthy",
      instances: [{ address: "elsewhere:1", restarts: 1 }],
    });
    beat(second);
  });

  it("said twice by one start changes nothing but what it says", () => {
    registry.register(registration(source));
    registry.register(registration(source, { address: "moved:1" }));
    expect(registry.component("source").instances).toMatchObject([{ address: "moved:1", restarts: 0 }]);
    expect(kept.events.filter(({ type, from }) => type === "component.state" && from === "healthy")).toEqual([]);
  });
});

describe("health", () => {
  const source = incarnation("source");

  it("needs both heartbeats and /health where there is one", () => {
    registry.register(registration(source, { healthEndpoint: "x:1" }));
    beat(source);
    expect(stateOf("source")).toBe("starting");
    registry.probed("source", "source-1", source.incarnation, { result: "passing", failures: 0, detail: "" });
    expect(stateOf("source")).toBe("healthy");
  });

  it("is lost by three failing polls in a row, or by one answer that says so, and not by one lost poll", () => {
    registry.register(registration(source, { healthEndpoint: "x:1" }));
    const probed = (result: "passing" | "failing" | "refusing", failures: number) =>
      registry.probed("source", "source-1", source.incarnation, { result, failures, detail: "detail" });
    probed("passing", 0);
    probed("failing", 1);
    probed("failing", 2);
    expect(stateOf("source")).toBe("healthy");
    probed("failing", 3);
    expect(registry.component("source").instances[0]).toMatchObject({ state: "unhealthy", reason: "detail" });
    probed("passing", 0);
    expect(stateOf("source")).toBe("healthy");
    probed("refusing", 1);
    expect(stateOf("source")).toBe("unhealthy");
  });

  it("shows as degraded what the component says of itself, until it takes it back", () => {
    registry.register(registration(source));
    beat(source, "the API is slow");
    expect(registry.component("source").instances[0]).toMatchObject({ state: "degraded", reason: "the API is slow" });
    beat(source);
    expect(stateOf("source")).toBe("healthy");
  });

  it("does not listen to polls of an earlier start", () => {
    registry.register(registration(source, { healthEndpoint: "x:1" }));
    registry.register(registration(incarnation("source", 1, "2"), { healthEndpoint: "x:1" }));
    registry.probed("source", "source-1", source.incarnation, { result: "passing", failures: 0, detail: "" });
    expect(stateOf("source")).toBe("starting");
  });
});

describe("silence", () => {
  const source = incarnation("source");

  it("of more than 30 s makes an instance unhealthy, less does not, and a heartbeat heals it", async () => {
    registry.register(registration(source));
    await clock.advance(30_000);
    registry.assessAll();
    expect(stateOf("source")).toBe("healthy");
    await clock.advance(1);
    registry.assessAll();
    expect(stateOf("source")).toBe("unhealthy");
    beat(source);
    expect(stateOf("source")).toBe("healthy");
  });

  it("is not held against anyone while the control plane itself was asleep", async () => {
    registry.register(registration(source));
    await clock.advance(60_000);
    registry.excuse(59_000);
    registry.assessAll();
    expect(stateOf("source")).toBe("healthy");
  });
});

describe("the end of an instance", () => {
  const all = ["source", "processor", "sink"].map((id) => incarnation(id));

  it("that completed completes the pipeline when it is the last, and stays so", () => {
    for (const who of all) registry.register(registration(who));
    expect(registry.pipeline().state).toBe("running");
    for (const who of all) bye(who, "completed");
    expect(registry.pipeline()).toMatchObject({ state: "completed", finishedAt: clock.now() });
    for (const who of all) expect(codeOf(() => beat(who))).toBe("registry/unknown-instance");
    registry.report({ componentId: "sink", instanceId: "sink-1", observation: "exited", exitCode: 0 }, clock.now());
    registry.report({ componentId: "sink", instanceId: "sink-1", observation: "removed" }, clock.now());
    expect(registry.pipeline().state).toBe("completed");
  });

  it("said twice does no harm", () => {
    const [source] = all as [IncarnationReference];
    registry.register(registration(source));
    bye(source, "completed");
    bye(source, "completed");
    expect(stateOf("source")).toBe("completed");
  });

  it("with an error leaves it unhealthy, for the supervisor to judge, with what it said", () => {
    const [source] = all as [IncarnationReference];
    registry.register(registration(source));
    bye(source, "failed", "no such table");
    registry.report({ componentId: "source", instanceId: "source-1", observation: "exited", exitCode: 1 }, clock.now());
    expect(registry.component("source").instances[0]).toMatchObject({ state: "unhealthy", reason: "no such table" });
    registry.fail("source", "source-1", "no such table, 6 times");
    expect(registry.pipeline()).toMatchObject({
      state: "failed",
      reason: "source-1 is failed: no such table, 6 times",
    });
  });

  it("after completion is undone by a new start, which begins a new run", async () => {
    for (const who of all) registry.register(registration(who));
    const started = registry.pipeline().startedAt;
    for (const who of all) bye(who, "completed");
    await clock.advance(5000);
    registry.register(registration(incarnation("source", 1, "2")));
    expect(registry.pipeline()).toMatchObject({ state: "running", startedAt: started + 5000 });
    expect(registry.pipeline().finishedAt).toBeUndefined();
  });

  it("is not believed of a driver that reports late: the successor lives", async () => {
    const [source] = all as [IncarnationReference];
    registry.register(registration(source));
    const died = clock.now();
    await clock.advance(500);
    registry.register(registration(incarnation("source", 1, "2")));
    registry.report({ componentId: "source", instanceId: "source-1", observation: "exited", exitCode: 137 }, died);
    registry.report({ componentId: "source", instanceId: "source-1", observation: "removed" }, died);
    expect(stateOf("source")).toBe("healthy");
  });

  it("by a crash shows how it ended", async () => {
    const [source] = all as [IncarnationReference];
    registry.register(registration(source));
    await clock.advance(1);
    registry.report(
      { componentId: "source", instanceId: "source-1", observation: "exited", exitCode: 137, oomKilled: true },
      clock.now(),
    );
    expect(registry.component("source").instances[0]).toMatchObject({
      state: "unhealthy",
      reason: "exited with code 137: out of memory",
    });
  });
});

describe("a new start that a driver sees", () => {
  it("after a crash counts as starting, not as healthy, until it has registered", async () => {
    const source = incarnation("source");
    const seen = (observation: "started" | "exited") =>
      registry.report({ componentId: "source", instanceId: "source-1", observation, exitCode: 137 }, clock.now());
    seen("started");
    registry.register(registration(source));
    await clock.advance(1);
    seen("exited");
    expect(stateOf("source")).toBe("unhealthy");
    seen("started");
    registry.assessAll();
    expect(registry.component("source").instances[0]).toMatchObject({ state: "starting", restarts: 1 });
    registry.register(registration(incarnation("source", 1, "2")));
    expect(registry.component("source").instances[0]).toMatchObject({ state: "healthy", restarts: 1 });
  });
});

describe("a control plane that comes back", () => {
  const [source, sink] = [incarnation("source"), incarnation("sink")];

  it("knows everything, takes nobody for well who was not heard of, and keeps who has completed", async () => {
    registry.register(registration(source));
    registry.register(registration(incarnation("processor")));
    registry.register(registration(sink));
    const { startedAt } = registry.pipeline();
    bye(source, "completed");
    await clock.advance(1000);
    registry = kept.open();
    expect(registry.pipeline()).toMatchObject({ state: "starting", startedAt });
    expect([stateOf("source"), stateOf("processor"), stateOf("sink")]).toEqual(["completed", "starting", "starting"]);
    expect(registry.topology(sink).upstreams[0]?.instances[0]?.address).toBe("processor-1:50051");
    beat(sink);
    registry.register(registration(incarnation("processor")));
    expect(registry.pipeline()).toMatchObject({ state: "running", startedAt });
  });

  it("still tells a superseded start from its successor", () => {
    registry.register(registration(source));
    registry.register(registration(incarnation("source", 1, "2")));
    registry = kept.open();
    expect(codeOf(() => beat(source))).toBe("registry/unknown-instance");
    expect(codeOf(() => registry.register(registration(source)))).toBe("registry/superseded");
  });
});

describe("any sequence of what components, drivers and time may do", () => {
  const ids = ["source", "processor", "sink"] as const;
  const who = fc.record({ id: fc.constantFrom(...ids), run: fc.integer({ min: 1, max: 4 }).map(String) });
  const operation = fc.oneof(
    fc.record({ op: fc.constant("register"), who }),
    fc.record({ op: fc.constant("beat"), who, degraded: fc.constantFrom("", "slow") }),
    fc.record({ op: fc.constant("bye"), who, reason: fc.constantFrom("completed", "stopped", "failed") }),
    fc.record({
      op: fc.constant("report"),
      who,
      seen: fc.constantFrom("started", "exited", "stopping", "removed"),
      ago: fc.integer({ min: 0, max: 40_000 }),
    }),
    fc.record({ op: fc.constant("fail"), who }),
    fc.record({ op: fc.constant("time"), ms: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({ op: fc.constant("crash") }),
  );

  it("makes no illegal move, lets no stale start disturb its successor, and survives any restart", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 60 }), async (operations) => {
        kept = new Kept();
        clock = kept.clock;
        registry = kept.open();
        registry.apply(linearPipeline());
        const current = new Map<string, string>();
        for (const step of operations) {
          const reference = "who" in step ? incarnation(step.who.id, 1, step.who.run) : undefined;
          const before = JSON.stringify(registry.pipeline());
          const stale = reference !== undefined && current.get(reference.componentId) !== reference.incarnation;
          try {
            if (step.op === "register" && reference) {
              registry.register(registration(reference));
              current.set(reference.componentId, reference.incarnation);
            } else if (step.op === "beat" && reference) beat(reference, (step as { degraded: string }).degraded);
            else if (step.op === "bye" && reference) bye(reference, (step as { reason: "completed" }).reason);
            else if (step.op === "fail" && reference) registry.fail(reference.componentId, reference.instanceId, "why");
            else if (step.op === "report" && reference) {
              const { seen, ago } = step as { seen: "started"; ago: number };
              const { componentId, instanceId } = reference;
              registry.report({ componentId, instanceId, observation: seen, exitCode: 1 }, clock.now() - ago);
            } else if (step.op === "time") {
              await clock.advance((step as { ms: number }).ms);
              registry.assessAll();
            } else if (step.op === "crash") {
              const { startedAt, state, components } = registry.pipeline();
              const ended = (list: typeof components) =>
                list.map(({ instances }) => instances.map((i) => i.state === "completed"));
              registry = kept.open();
              expect(ended(registry.pipeline().components)).toEqual(ended(components));
              expect(registry.pipeline().startedAt).toBe(startedAt);
              if (state === "completed" || state === "failed") expect(registry.pipeline().state).toBe(state);
            }
          } catch (error) {
            expect(error).toMatchObject({
              code: expect.stringMatching(/^registry\/(unknown-instance|superseded|deregistered)$/),
            });
            expect(JSON.stringify(registry.pipeline())).toBe(before);
            continue;
          }
          if (stale && (step.op === "beat" || step.op === "bye")) expect.unreachable("a stale start was heard");
        }
      }),
      { numRuns: 300 },
    );
  });
});
