import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FakeClock } from "../foundation/clock.fake.ts";
import { monitorHealth } from "./health-monitor.ts";
import type { ProbeResult } from "./health-probe.ts";
import { incarnation, linearPipeline, registration } from "./pipeline.fake.ts";
import { Kept } from "./registry.fake.ts";
import type { Registry } from "./registry.ts";

let clock: FakeClock;
let registry: Registry;
let stop: AbortController;
let monitoring: Promise<void>;
let answers: Map<string, ProbeResult | "hangs">;
let asked: { readonly endpoint: string; readonly at: number }[];

beforeEach(() => {
  const kept = new Kept();
  clock = kept.clock;
  stop = new AbortController();
  answers = new Map();
  asked = [];
  registry = kept.open();
  registry.apply(linearPipeline());
  const probe = (endpoint: string, signal: AbortSignal): Promise<ProbeResult> => {
    asked.push({ endpoint, at: clock.now() });
    const answer = answers.get(endpoint) ?? { result: "passing" };
    if (answer !== "hangs") return Promise.resolve(answer);
    return new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve({ result: "failing", detail: "aborted" }), { once: true }),
    );
  };
  monitoring = monitorHealth({ registry, probe, clock, pollIntervalMs: 5000, random: () => 0.5 }, stop.signal);
});

afterEach(async () => {
  stop.abort();
  await monitoring;
  expect(clock.sleeping).toBe(0);
});

const register = (id: string, run = "1") =>
  registry.register(registration(incarnation(id, 1, run), { healthEndpoint: `${id}:8088` }));
const beat = (id: string, run = "1") =>
  registry.heartbeat({ ...incarnation(id, 1, run), metrics: null, degradedReason: "" });
const state = (id: string) => registry.component(id).state;

describe("the health monitor", () => {
  it("asks a new instance at once, and every five seconds from then on", async () => {
    register("source");
    await clock.advance(0);
    expect(state("source")).toBe("healthy");
    await clock.advance(20_000);
    expect(asked.map(({ at }) => at - 1_000_000)).toEqual([0, 5000, 10_000, 15_000, 20_000]);
  });

  it("asks an instance that is starting more often, so that it is soon seen to be healthy", async () => {
    answers.set("source:8088", { result: "failing", detail: "refused" });
    register("source");
    await clock.advance(2000);
    expect(state("source")).toBe("starting");
    answers.delete("source:8088");
    await clock.advance(300);
    expect(state("source")).toBe("healthy");
  });

  it("asks one that takes long to start no more than forty times as often", async () => {
    answers.set("source:8088", { result: "failing", detail: "refused" });
    register("source");
    await clock.advance(25_000);
    expect(state("source")).toBe("starting");
    // Ten seconds of it, and then every five.
    expect(asked.map(({ at }) => at - 1_000_000).slice(-5)).toEqual([9_750, 10_000, 15_000, 20_000, 25_000]);
  });

  it("takes an instance for unhealthy after three failures in a row, and no sooner", async () => {
    register("source");
    await clock.advance(0);
    const polls = async (count: number, answer: ProbeResult): Promise<string> => {
      answers.set("source:8088", answer);
      for (let poll = 0; poll < count; poll++) {
        beat("source");
        await clock.advance(5000);
      }
      return state("source");
    };
    const failing = { result: "failing", detail: "refused" } as const;
    expect(await polls(2, failing)).toBe("healthy");
    expect(await polls(1, { result: "passing" })).toBe("healthy");
    expect(await polls(2, failing)).toBe("healthy");
    expect(await polls(1, failing)).toBe("unhealthy");
    expect(await polls(1, { result: "passing" })).toBe("healthy");
  });

  it("lets one that hangs delay no other", async () => {
    answers.set("source:8088", "hangs");
    register("source");
    register("processor");
    await clock.advance(10_000);
    expect(state("processor")).toBe("healthy");
    expect(asked.filter(({ endpoint }) => endpoint === "processor:8088")).toHaveLength(3);
  });

  it("marks who was silent for more than thirty seconds, and takes it back at the next heartbeat", async () => {
    register("source");
    await clock.advance(30_000);
    expect(state("source")).toBe("healthy");
    await clock.advance(1000);
    expect(state("source")).toBe("unhealthy");
    beat("source");
    expect(state("source")).toBe("healthy");
  });

  it("counts no time as silence in which it did not run itself", async () => {
    const { sleep } = clock;
    register("source");
    await clock.advance(20_000);
    // A machine that is suspended: what was due long ago wakes only now.
    let late = true;
    vi.spyOn(clock, "sleep").mockImplementation(async (ms, signal) => {
      await sleep.call(clock, late && ms === 1000 ? 25_000 : ms, signal);
      late = false;
    });
    await clock.advance(30_000);
    vi.restoreAllMocks();
    expect(state("source")).toBe("healthy");
    await clock.advance(6_000);
    expect(state("source")).toBe("unhealthy");
  });

  it("stops asking who has gone, and asks a successor anew", async () => {
    register("source");
    await clock.advance(0);
    register("source", "2");
    await clock.advance(0);
    expect(asked).toHaveLength(2);
    registry.deregister({ ...incarnation("source", 1, "2"), reason: "completed", message: "", metrics: undefined });
    await clock.advance(60_000);
    expect(asked).toHaveLength(2);
    expect(state("source")).toBe("completed");
  });
});
