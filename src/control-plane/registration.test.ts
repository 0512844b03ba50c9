import { beforeEach, describe, expect, it } from "vitest";
import type { FakeClock } from "../foundation/clock.fake.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import type { IncarnationReference } from "../protocol/registry-codec.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let clock: FakeClock;
let registry: Registry;

const bye = (who: IncarnationReference, reason: "completed" | "stopped" | "failed", message = "") =>
  registry.deregister({ ...who, reason, message, metrics: noMetrics });
const refusal = (who: IncarnationReference): unknown => {
  try {
    registry.register(registration(who));
    return undefined;
  } catch (error) {
    return error;
  }
};

beforeEach(() => {
  const kept = new Kept();
  clock = kept.clock;
  registry = kept.open();
  registry.apply(linearPipeline());
});

describe("an instance that the pipeline does not have", () => {
  it("cannot register, and holds up nobody who waits for the pipeline to complete", () => {
    expect(refusal(incarnation("sink", 77))).toMatchObject({ code: "registry/not-an-instance", kind: "conflict" });
    for (const id of ["source", "processor", "sink"]) {
      expect(refusal(incarnation(id))).toBeUndefined();
      bye(incarnation(id), "completed");
    }
    expect(registry.pipeline().state).toBe("completed");
  });
});

describe("an incarnation that has deregistered", () => {
  it.each(["completed", "stopped", "failed"] as const)("as %s cannot come back", (reason) => {
    const who = incarnation("source");
    registry.register(registration(who));
    bye(who, reason);
    const before = registry.component("source");
    expect(refusal(who)).toMatchObject({ code: "registry/deregistered", kind: "conflict" });
    expect(registry.component("source")).toEqual(before);
  });

  it("leaves its place to a new one", () => {
    registry.register(registration(incarnation("source", 1, "1")));
    bye(incarnation("source", 1, "1"), "completed");
    expect(refusal(incarnation("source", 1, "2"))).toBeUndefined();
    expect(refusal(incarnation("source", 1, "1"))).toMatchObject({ code: "registry/superseded" });
  });
});

describe("a stranger that takes the id of an instance", () => {
  const [own, stranger] = [incarnation("source", 1, "own"), incarnation("source", 1, "stranger")];
  const seen = (observation: "started" | "exited") =>
    registry.report({ componentId: "source", instanceId: "source-1", observation, exitCode: 137 }, clock.now());

  beforeEach(() => {
    registry.driverWatches(true);
    registry.register(registration(own));
  });

  it("is refused while that one lives, to try again, and can complete nothing", async () => {
    await clock.advance(20_000);
    expect(refusal(stranger)).toMatchObject({ code: "registry/instance-alive", kind: "unavailable" });
    expect(() => bye(stranger, "completed")).toThrow(expect.objectContaining({ code: "registry/unknown-instance" }));
    registry.heartbeat({ ...own, metrics: noMetrics, degradedReason: "" });
    expect(registry.component("source").state).toBe("healthy");
  });

  it("is its successor once the driver has seen the end of it, or a later start", async () => {
    await clock.advance(10);
    seen("exited");
    expect(refusal(incarnation("source", 1, "2"))).toBeUndefined();
    expect(refusal(stranger)).toMatchObject({ code: "registry/instance-alive" });
    await clock.advance(10);
    seen("started");
    expect(refusal(incarnation("source", 1, "3"))).toBeUndefined();
  });

  it("is its successor once nothing was heard of it for 30 s", async () => {
    await clock.advance(30_001);
    expect(refusal(stranger)).toBeUndefined();
  });

  it("is accepted where no driver watches: nobody could tell it from a restart", () => {
    registry = new Kept(clock).open();
    registry.apply(linearPipeline());
    registry.register(registration(own));
    expect(refusal(stranger)).toBeUndefined();
  });
});
