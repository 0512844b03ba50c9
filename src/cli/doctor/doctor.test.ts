import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { ComponentRecord, InstanceRecord, PipelineRecord } from "../../protocol/records.ts";
import { checkNode, checkPorts, judgeDisk } from "./check-machine.ts";
import { checkPipeline, type PipelineFacts } from "./check-pipeline.ts";
import type { Finding } from "./finding.ts";

const NOW = 1_000_000;

function instance(id: string, given: Partial<InstanceRecord> = {}): InstanceRecord {
  const usual = { reason: "", address: "", healthEndpoint: "", lastHeartbeat: NOW, registeredAt: NOW - 60_000 };
  const none = {
    metadata: {},
    metrics: noMetrics,
    totals: noMetrics,
    desiredStopped: false,
    restarts: 0,
    consumes: [],
    produces: [],
  };
  return { id, state: "healthy", ...usual, ...none, ...given };
}

function component(id: string, type: ComponentRecord["type"], ...instances: InstanceRecord[]): ComponentRecord {
  const [first] = instances;
  const connections = { upstream: [], downstream: [] };
  const usual = { connections, desiredInstances: 1, temporary: false, totals: noMetrics };
  return { id, type, state: first?.state ?? "starting", ...usual, instances };
}

function record(components: readonly ComponentRecord[], given: Partial<PipelineRecord> = {}): PipelineRecord {
  const usual = {
    id: "p",
    name: "p",
    state: "running",
    reason: "",
    driver: "process",
    startedAt: 0,
    topology: {},
  } as const;
  return { ...usual, components, ...given };
}

function check(facts: Partial<PipelineFacts>): readonly Finding[] {
  return checkPipeline({ name: "p", observed: [], record: undefined, lastLine: () => undefined, ...facts }, NOW);
}

const shown = (findings: readonly Finding[]): readonly string[] =>
  findings.map(({ level, subject, detail }) => `${level} ${subject}: ${detail}`);

describe("what doctor finds of a pipeline", () => {
  it("is that all is well, where it is", () => {
    expect(shown(check({ record: record([component("feed", "source", instance("feed-1"))]) }))).toEqual([
      "ok pipeline p: running",
    ]);
  });

  it("is a control plane that does not answer", () => {
    expect(shown(check({}))).toEqual([
      "problem pipeline p: its control plane does not answer; events flow on without it",
    ]);
  });

  it("is an instance that runs and has not registered, after it had time to", () => {
    const running = (startedAt: number) => ({ status: "running", startedAt, health: "none", restarts: 0 }) as const;
    const resource = {
      key: "component/feed-1",
      kind: "component",
      owner: "feed",
      index: 1,
      hash: "",
      parts: {},
    } as const;
    const observe = (startedAt: number) => [
      { ...resource, ref: "1", name: "feed", ports: [], state: running(startedAt) },
    ];
    const facts = { record: record([component("feed", "source")]) };
    expect(shown(check({ ...facts, observed: observe(NOW - 30_000) }))).toContain(
      "problem feed-1: has run for 30 s without registering",
    );
    expect(check({ ...facts, observed: observe(NOW - 5_000) })).toHaveLength(1);
  });

  it("is who is unwell, why, how often it was restarted, and what it said last", () => {
    const ill = instance("feed-1", { state: "unhealthy", reason: "exited with code 1", restarts: 2 });
    const line = { instance: "feed-1", owner: "feed", stream: "stderr", time: NOW, text: "no such file" } as const;
    const found = check({
      record: record([component("feed", "source", ill)], { state: "degraded", reason: "feed-1 is unhealthy" }),
      lastLine: (id) => (id === "feed-1" ? line : undefined),
    });
    expect(shown(found)).toEqual([
      "problem pipeline p: degraded: feed-1 is unhealthy",
      "problem feed-1: is unhealthy, restarted 2 times: exited with code 1; it said last: no such file",
    ]);
  });

  it("is what was cut off from its network", () => {
    const observed = [
      {
        ...{
          key: "component/feed-1",
          kind: "component",
          owner: "feed",
          index: 1,
          hash: "",
          parts: {},
          ref: "",
          name: "",
        },
        ...{ ports: [], state: { status: "running", startedAt: NOW, health: "none", restarts: 0 } },
        flaw: "cut off from the network flowctl_p",
      },
    ] as unknown as PipelineFacts["observed"];
    const found = check({ observed, record: record([component("feed", "source", instance("feed-1"))]) });
    expect(shown(found)).toContain("problem feed-1: is cut off from the network flowctl_p");
  });

  it("is who holds whom up, and who passes nothing on", () => {
    const source = instance("feed-1", {
      metrics: { ...noMetrics, eventsOut: 1000, inFlight: 500, backpressure: 0.9, waiting: { slow: 400 } },
    });
    const slow = instance("slow-1", { metrics: { ...noMetrics, eventsIn: 600, inFlight: 100 } });
    const found = shown(
      check({ record: record([component("feed", "source", source), component("slow", "processor", slow)]) }),
    );
    expect(found.filter((line) => line.startsWith("warning slow")).length).toBe(2);
    expect(found.join("\n")).toContain("feed could not send to it 90 % of the time");
    expect(found.join("\n")).toContain("has taken 600 events and passed on none");
  });

  it("has a fix for whatever is not well", () => {
    const all = [
      ...check({}),
      ...check({
        record: record([component("a", "sink", instance("a-1", { state: "failed", reason: "x" }))], {
          state: "failed",
        }),
      }),
      checkNode("18.1.0"),
      judgeDisk("disk", "/", 5),
    ];
    expect(all.length).toBeGreaterThan(4);
    for (const { level, fix } of all) expect(fix !== undefined, level).toBe(true);
  });
});

describe("what doctor finds of a machine", () => {
  it("is a Node.js that is too old, and a disk that is nearly full", () => {
    expect([checkNode("20.18.9"), checkNode("20.19.0"), checkNode("24.0.0")].map(({ level }) => level)).toEqual([
      "problem",
      "ok",
      "ok",
    ]);
    const levels = [50e6, 500e6, 5e9].map((free) => judgeDisk("disk", "/", free).level);
    expect(levels).toEqual(["problem", "warning", "ok"]);
    expect(judgeDisk("disk", "/", 5e9, 10)).toMatchObject({
      level: "problem",
      detail: expect.stringContaining("10 more files"),
    });
  });

  it("is a port that something else has", async () => {
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as { port: number };
    const ports = [{ hostIp: "127.0.0.1", published: port, target: 80, protocol: "tcp" as const }];
    const pipeline = { components: [{ id: "web", ports }], services: [] } as unknown as Parameters<
      typeof checkPorts
    >[0];
    expect((await checkPorts(pipeline))[0]?.level).toBe("problem");
    await new Promise((closed) => server.close(closed));
    expect((await checkPorts(pipeline))[0]?.level).toBe("ok");
  });
});
