import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { componentSpec } from "../../control-plane/pipeline.fake.ts";
import type { ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { ComponentRecord, InputSpec, InstanceRecord, PipelineRecord } from "../../protocol/records.ts";
import { checkResources, type Resources } from "./check-leftovers.ts";
import { checkNode, checkPorts } from "./check-machine.ts";
import { checkPipeline, type PipelineFacts } from "./check-pipeline.ts";
import { judgeDisk } from "./disk-space.ts";
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
  const usual = { connections, desiredInstances: 1, totals: noMetrics };
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

function resource(owner: string, index: number, state: ObservedState): ObservedResource {
  const name = `${owner}-${index}`;
  return {
    ...{ key: `component/${name}`, kind: "component", owner, index, hash: "", parts: {} },
    ...{ ref: "", name, ports: [], state },
  };
}

function check(facts: Partial<PipelineFacts>): readonly Finding[] {
  const away = new FlowctlError({
    code: "x",
    kind: "unavailable",
    message: "it does not respond",
    fix: "Run `kill -CONT 1`",
  });
  const usual = { name: "p", driver: "docker", observed: [], record: undefined, lastLine: () => "" };
  return checkPipeline({ ...usual, away, up: "flowctl up -d", scaling: new Map(), ...facts }, NOW);
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
    expect(shown(check({}))).toEqual(["problem pipeline p: it does not respond"]);
    expect(check({})[0]?.fix).toBe("Run `kill -CONT 1`");
  });

  it("is a control plane that does not reach the engine", () => {
    const runs = { status: "running", startedAt: 0, health: "healthy", restarts: 0 } as const;
    const controlPlane = { ...resource("control-plane", 1, runs), kind: "control-plane" } as const;
    const found = (...observed: ObservedResource[]): readonly Finding[] =>
      check({ record: record([component("feed", "source", instance("feed-1"))]), observed });
    const needs = { ...controlPlane, needsEngineAccess: true } as const;
    const access = (state: ObservedState) =>
      ({ ...resource("control-plane", 1, state), key: "engine-access/1", kind: "engine-access" }) as const;
    const ended = { status: "exited", exitCode: 1, oomKilled: false, finishedAt: 1, restarts: 0 } as const;
    expect(found(needs)).toEqual([
      { level: "ok", subject: "pipeline p", detail: "running" },
      {
        ...{ level: "problem", subject: "engine-access" },
        detail:
          "is missing: without it the control plane cannot reach the Docker engine: unresponsive components are not restarted, and those that exit are noticed late",
        fix: "Create it again with `flowctl up -d`",
      },
    ]);
    expect(found(needs, access(ended))[1]?.detail).toMatch(/^is exited: without it /);
    for (const well of [[controlPlane], [needs, access(runs)], [{ ...needs, state: ended }]]) {
      expect(found(...well)).toHaveLength(1);
    }
  });

  it("is a control plane that was not told what the pipeline is, and no instance that cannot register therefore", () => {
    const observed = [resource("feed", 1, { status: "running", startedAt: 0, health: "none", restarts: 0 })];
    const found = check({ record: record([], { state: "starting" }), observed });
    expect(shown(found)).toEqual([
      expect.stringMatching(/^problem pipeline p: the control plane does not know the pipeline, .*--no-persistence/),
    ]);
    expect(found[0]?.fix).toBe("Tell it with `flowctl up -d`");
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
    const found = check({
      record: record([component("feed", "source", ill)], { state: "degraded", reason: "feed-1 is unhealthy" }),
      lastLine: (id) => (id === "feed-1" ? "no such file" : ""),
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
        flaw: "disconnected from the network flowctl_p",
      },
    ] as unknown as PipelineFacts["observed"];
    const found = check({ observed, record: record([component("feed", "source", instance("feed-1"))]) });
    expect(shown(found)).toContain("problem feed-1: is disconnected from the network flowctl_p");
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
    expect(found.join("\n")).toContain("feed was blocked by it 90 % of the time");
    expect(found.join("\n")).toContain("has taken 600 events and passed on none");
  });

  it("is an instance that should run and is gone, and who waits for it; not one that is over or stopped", () => {
    const waiting = instance("feed-1", { metrics: { ...noMetrics, waiting: { out: 70 } } });
    const sinks = [instance("out-2", { desiredStopped: true }), instance("out-3", { state: "completed" })];
    const spec = {
      ...{ name: "p", driver: "docker" },
      components: [componentSpec({ id: "out", type: "sink", replicas: 4 })],
    };
    const observed = [resource("out", 4, { status: "running", startedAt: NOW, health: "none", restarts: 0 })];
    const components = [component("feed", "source", waiting), component("out", "sink", ...sinks)];
    const found = check({ record: record(components, { spec }), observed });
    expect(found.filter(({ subject }) => subject.startsWith("out"))).toEqual([
      {
        level: "problem",
        subject: "out-1",
        detail: "should run, but does not exist on docker: it was removed, or never created; 70 events wait for it",
        fix: "Create it again with `flowctl up -d`",
      },
    ]);
  });

  it("is what to do about a slow one that its file allows", () => {
    const metrics = { ...noMetrics, eventsOut: 1000, inFlight: 500, backpressure: 0.9, waiting: { out: 400 } };
    const out = component(
      "out",
      "sink",
      instance("out-1", { metrics: { ...noMetrics, eventsIn: 600, inFlight: 100 } }),
    );
    const fix = (scaling: PipelineFacts["scaling"], input: Partial<InputSpec> = {}) => {
      const inputs = [{ from: "feed", types: [], ...input }];
      const sink = componentSpec({ id: "out", type: "sink", inputs });
      const components = [component("feed", "source", instance("feed-1", { metrics })), out];
      const whole = record(components, { spec: { name: "p", driver: "process", components: [sink] } });
      const observed = [resource("out", 1, { status: "running", startedAt: NOW, health: "none", restarts: 0 })];
      return check({ record: whole, scaling, observed }).find(({ subject }) => subject === "out")?.fix;
    };
    const buffer = "`inputs: [{ from: feed, buffer: { type: disk, max_events: 1000000 } }]` in the file";
    expect(fix(new Map([["out", { instances: 2 }]]))).toContain("`flowctl scale -p p out=2`");
    const refused = fix(new Map([["out", { instances: 2, refusal: "they would write to one file" }]]));
    expect(refused).toContain("It cannot have 2 instances: they would write to one file");
    expect(refused).toContain(buffer);
    expect(refused).not.toContain("flowctl scale");
    expect(fix(new Map())).not.toContain("flowctl scale");
    const full: InputSpec["buffer"] = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" };
    expect(fix(new Map([["out", { instances: 2 }]]), { buffer: full })).toBe(
      "Give it more instances: `flowctl scale -p p out=2`",
    );
    expect(fix(new Map(), { buffer: full })).toContain("Its inputs have buffers, which are full");
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

describe("what doctor finds of a pipeline without a control plane", () => {
  const found = (given: Partial<Resources>) =>
    checkResources({
      pipeline: "p",
      driver: "docker",
      restartsExited: true,
      observed: [],
      up: "flowctl up -d",
      goneFolder: undefined,
      ...given,
    });
  const running = { status: "running", startedAt: NOW, health: "none", restarts: 0 } as const;
  const killed = { status: "exited", exitCode: -1, oomKilled: false, finishedAt: NOW, restarts: 0 } as const;

  it("is what runs on, what ended, and what of the file is not there", () => {
    const observed = [resource("feed", 1, running), resource("out", 1, killed)];
    expect(shown(found({ observed, wanted: ["feed-1", "out-1", "out-2"] }))).toEqual([
      "problem pipeline p: is running on docker without a control plane, so nothing that is started can register, and nothing that hangs is restarted: feed-1",
      "problem out-1: is not running: it ended while no control plane ran",
      "problem out-2: it is in the pipeline file, but does not exist on docker",
    ]);
    const [onProcesses] = found({ driver: "process", restartsExited: false, observed });
    expect(onProcesses?.detail).toBe(
      "is running on process without a control plane, so nothing is restarted when it exits: feed-1",
    );
  });

  it("is that the folder it belongs to is gone, so that nothing but removing it is left", () => {
    const [only] = found({ observed: [resource("feed", 1, killed)], goneFolder: "/gone", up: undefined });
    expect(only).toEqual({
      level: "warning",
      subject: "pipeline p",
      detail: "exists on docker, but nothing is running; its folder /gone is gone",
      fix: "Remove it with `flowctl down -p p --driver docker`",
    });
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
    expect(await checkPorts(pipeline, new Set(["web"]))).toEqual([]);
    await new Promise((closed) => server.close(closed));
    expect((await checkPorts(pipeline))[0]?.level).toBe("ok");
  });
});
