import { randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, describe, expect, it } from "vitest";
import type { ComponentIdentity, RegistryClient } from "../../src/client/client.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { connectRegistry } from "../../src/client/registry-client.ts";
import { componentSpec, linearPipeline } from "../../src/control-plane/pipeline.fake.ts";
import { hasCode } from "../../src/foundation/errors.ts";
import { noMetrics } from "../../src/protocol/component-codec.ts";
import type { ComponentRecord, PipelineEvent, Topology } from "../../src/protocol/records.ts";
import { controlPlaneProcess, until } from "./control-plane-process.ts";

const soon = (): AbortSignal => AbortSignal.timeout(10_000);

/** A component that registers, and again whenever it is told that it is not known, as the SDK does. */
function component(address: string, id: "source" | "processor" | "sink", healthEndpoint = "", number = 1) {
  const identity: ComponentIdentity = {
    pipeline: "p",
    componentId: id,
    instanceId: `${id}-${number}`,
    type: id,
    incarnation: randomUUID(),
  };
  const client: RegistryClient = connectRegistry(address, identity);
  const register = () =>
    client.register(
      {
        address: id === "sink" ? "" : `${id}:1`,
        healthEndpoint,
        metadata: { name: id },
        consumes: [],
        produces: [],
        features: [],
      },
      soon(),
    );
  return {
    ...client,
    register,
    async beatOrRegister(): Promise<void> {
      try {
        await client.heartbeat({ metrics: { ...noMetrics, eventsIn: 7 }, degradedReason: "" }, soon());
      } catch (error) {
        if (!hasCode(error, "registry/unknown-instance")) throw error;
        await register();
      }
    },
  };
}

const stateOf = (components: readonly ComponentRecord[], id: string) =>
  components.find((component) => component.id === id)?.state;

describe("a control plane that is killed", () => {
  it("still knows which commands have changed the pipeline, and what is kept of the last change", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    const hold = async (command: string, options: { takeOver?: boolean; unchangedSince?: number } = {}) => {
      const end = new AbortController();
      const held = control.holdOperation({ command, holder: "h" }, { takeOver: false, ...options }, end.signal);
      const first = await held[Symbol.asyncIterator]().next();
      return { number: first.value as number, release: () => end.abort() };
    };
    const up = await hold("flowctl up");
    await control.applyPipeline(linearPipeline(), soon(), { operation: up.number });
    await control.keepPipeline(Buffer.from("how"), soon());
    up.release();
    const stop = await hold("flowctl stop", { takeOver: true });
    await process.kill("SIGKILL");
    await process.start();
    const planned = { unchangedSince: up.number };
    await expect
      .poll(() => hold("flowctl up", planned).catch((error: unknown) => error))
      .toMatchObject({
        code: "control/operation-taken-over",
        message: expect.stringContaining("flowctl stop"),
      });
    await expect(control.applyPipeline(linearPipeline(), soon(), { operation: up.number })).rejects.toMatchObject({
      code: "control/operation-taken-over",
    });
    const again = await hold("flowctl stop", { unchangedSince: stop.number });
    expect(again.number).toBeGreaterThan(stop.number);
    expect(String((await control.keptPipeline(soon())).latest)).toBe("how");
    again.release();
    control.close();
  });

  it("comes back with its pipeline, its components and who has completed, and the others heal by their heartbeats", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    const all = (["source", "processor", "sink"] as const).map((id) => component(process.grpc, id));
    const [source, , sink] = all;
    if (source === undefined || sink === undefined) throw new Error("three components");
    expect(await control.applyPipeline(linearPipeline(), soon())).toEqual({ changed: true });
    for (const each of all) await each.register();
    await source.deregister("completed", "", { ...noMetrics, eventsOut: 42 }, soon());
    const before = await control.getPipeline(soon());
    expect(before).toMatchObject({ state: "running", driver: "process" });

    await process.kill("SIGKILL");
    await expect(control.getPipeline(AbortSignal.timeout(2000))).rejects.toMatchObject({
      code: "client/unreachable",
      kind: "unavailable",
    });
    await process.start();
    await until(() =>
      control.getPipeline(AbortSignal.timeout(500)).then(
        () => true,
        () => false,
      ),
    );

    const back = await control.getPipeline(soon());
    expect(back).toMatchObject({ state: "starting", startedAt: before.startedAt, topology: before.topology });
    expect(stateOf(back.components, "source")).toBe("completed");
    expect(back.components[0]?.instances[0]?.metrics.eventsOut).toBe(42);
    expect(stateOf(back.components, "sink")).toBe("starting");
    expect(await control.applyPipeline(linearPipeline(), soon())).toEqual({ changed: false });
    // Components see that their watch broke, and learn when they come back that they have to register again.
    // (Each has a connection of its own, which comes back in its own time.)
    let refusal: unknown;
    await until(async () => {
      refusal = await sink
        .watchTopology(soon())
        [Symbol.asyncIterator]()
        .next()
        .catch((error: unknown) => error);
      return !hasCode(refusal, "client/unreachable");
    });
    expect(refusal).toMatchObject({ code: "registry/unknown-instance" });
    for (const each of all.slice(1)) {
      await until(() =>
        each.beatOrRegister().then(
          () => true,
          () => false,
        ),
      );
    }
    expect((await control.getPipeline(soon())).state).toBe("running");
    const topologies = sink.watchTopology(soon())[Symbol.asyncIterator]();
    expect((await topologies.next()).value).toMatchObject({ upstreams: [{ componentId: "processor" }] });
    await topologies.return?.(undefined);
    for (const each of all.slice(1)) await each.deregister("completed", "", noMetrics, soon());
    expect((await control.getPipeline(soon())).state).toBe("completed");
    for (const each of all) each.close();
    control.close();
  });

  it("at random moments loses no checkpoint that it answered for, and no event number twice", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    await control.applyPipeline(linearPipeline(), soon());
    const source = component(process.grpc, "source");
    const durable: number[] = [];
    let position = 0;
    for (let round = 0; round < 5; round++) {
      let streaming = true;
      const streams = (async () => {
        while (streaming) {
          try {
            const next = position + 1;
            await source.beatOrRegister();
            const save = {
              partition: "",
              identity: "",
              epoch: 0,
              state: "reading",
              position: Buffer.from(String(next)),
            };
            await source.saveCheckpoint({ ...save, state: "reading" }, soon());
            position = next;
            durable.push(next);
          } catch (error) {
            // It is away, or does not know us yet.
            if (!hasCode(error, "client/unreachable") && !hasCode(error, "registry/unknown-instance")) throw error;
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        }
      })();
      const target = position + 5 + Math.floor(Math.random() * 60);
      await until(() => position >= target);
      await process.kill("SIGKILL");
      streaming = false;
      await streams;
      await process.start();
      await until(() =>
        control.getPipeline(AbortSignal.timeout(500)).then(
          () => true,
          () => false,
        ),
      );
      const successor = component(process.grpc, "source");
      const { checkpoint } = await successor.register();
      // One more may have been written of which the answer was lost.
      expect([position, position + 1]).toContain(Number(Buffer.from(checkpoint ?? []).toString()));
      successor.close();
      source.close();
      Object.assign(source, component(process.grpc, "source"));
      await source.register();
    }
    const sequences: number[] = [];
    for await (const event of control.watchEvents({ after: 0, follow: false }, soon())) sequences.push(event.sequence);
    expect(new Set(sequences).size).toBe(sequences.length);
    expect(sequences.length).toBeGreaterThan(10);
    source.close();
    control.close();
  });

  it("without persistence is told everything anew", async () => {
    await using process = await controlPlaneProcess("p", { FLOWCTL_PERSISTENCE: "memory" });
    await process.start();
    const control = connectControlPlane(process.grpc);
    await control.applyPipeline(linearPipeline(), soon());
    const source = component(process.grpc, "source");
    await source.register();
    await process.kill("SIGKILL");
    await process.start();
    await until(() =>
      control.getPipeline(AbortSignal.timeout(500)).then(
        () => true,
        () => false,
      ),
    );
    expect((await control.getPipeline(soon())).components).toEqual([]);
    await expect(source.register()).rejects.toMatchObject({ code: "registry/no-pipeline", kind: "unavailable" });
    await control.applyPipeline(linearPipeline(), soon());
    await source.beatOrRegister();
    expect(stateOf(await control.getComponents(soon()), "source")).toBe("healthy");
    source.close();
    control.close();
  });
});

describe("a running control plane", () => {
  it("pushes the new address of an upstream that was started again, and its completion", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    await control.applyPipeline(linearPipeline(), soon());
    const [first, second, processor] = [
      component(process.grpc, "source"),
      component(process.grpc, "source"),
      component(process.grpc, "processor"),
    ];
    await processor.register();
    const seen: Topology[] = [];
    const watching = new AbortController();
    const watch = (async () => {
      for await (const topology of processor.watchTopology(watching.signal)) seen.push(topology);
    })();
    const upstream = () => seen.at(-1)?.upstreams[0];
    await until(() => upstream()?.instances.length === 0);
    await first.register();
    await until(() => upstream()?.instances[0]?.address === "source:1");
    await second.register();
    await expect(first.heartbeat({ metrics: noMetrics, degradedReason: "" }, soon())).rejects.toMatchObject({
      code: "registry/unknown-instance",
      kind: "not-found",
      fix: "Register it again.",
    });
    await second.deregister("completed", "", noMetrics, soon());
    await until(() => upstream()?.completed === true);
    watching.abort();
    await watch;
    for (const client of [first, second, processor, control]) client.close();
  });

  it("follows /health of each component, and tells every change as an event", async () => {
    let status = 200;
    const health = await listen(createServer((_, response) => response.writeHead(status).end("bad disk")));
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    await control.applyPipeline(linearPipeline(), soon());
    const source = component(process.grpc, "source", health.endpoint);
    await source.register();
    const state = async () => (await control.getComponentStatus("source", soon())).instances[0];
    await until(async () => (await state())?.state === "healthy");
    status = 503;
    await until(async () => (await state())?.state === "unhealthy");
    expect((await state())?.reason).toContain("returned 503: bad disk");
    status = 200;
    await until(async () => (await state())?.state === "healthy");
    const events: PipelineEvent[] = [];
    for await (const event of control.watchEvents({ after: 0, follow: false }, soon())) events.push(event);
    const moves = events.filter(({ type }) => type === "component.state").map(({ from, to }) => `${from} ${to}`);
    expect(moves).toEqual(["starting healthy", "healthy unhealthy", "unhealthy healthy"]);
    source.close();
    control.close();
    health.server.close();
    health.server.closeAllConnections();
  });

  it("refuses what cannot be, with the same error on both sides of the wire", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    const broken = { ...linearPipeline(), components: [componentSpec({ id: "sink", type: "sink" }, "nobody")] };
    await expect(control.applyPipeline(broken, soon())).rejects.toMatchObject({
      name: "FlowctlError",
      code: "control/invalid-spec",
      kind: "invalid",
      message: "sink has an input from nobody, which does not exist",
      path: "spec.components[0].inputs",
    });
    await expect(control.getComponentStatus("nobody", soon())).rejects.toMatchObject({
      code: "registry/unknown-component",
    });
    await expect(control.applyPipeline(linearPipeline("q"), soon())).rejects.toMatchObject({
      code: "registry/wrong-pipeline",
    });
    control.close();
  });

  it("lets nobody wait for a turn who is no instance of the source, and hears no command that another has taken over from", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    await control.applyPipeline(linearPipeline(), soon());
    const stranger = component(process.grpc, "source", "", 77);
    await expect(stranger.register()).rejects.toMatchObject({ code: "registry/not-an-instance" });
    const known = (await control.getPipeline(soon())).components.flatMap(({ instances }) => instances);
    expect(known).toEqual([]);
    stranger.close();

    const end = new AbortController();
    const hold = async (takeOver: boolean, unchangedSince = 0): Promise<number> => {
      const held = control.holdOperation({ command: "c", holder: "h" }, { takeOver, unchangedSince }, end.signal);
      const first = await held[Symbol.asyncIterator]().next();
      return first.value as number;
    };
    const first = await hold(false);
    await control.applyPipeline(linearPipeline(), soon(), { operation: first });
    const second = await hold(true);
    expect(await control.setDesiredState({ stopped: "all" }, soon(), second)).toHaveLength(3);
    const late = { code: "control/operation-taken-over", kind: "conflict" };
    await expect(control.applyPipeline(linearPipeline(), soon(), { operation: first })).rejects.toMatchObject(late);
    await expect(control.setDesiredState({ running: ["source-1"] }, soon(), first)).rejects.toMatchObject(late);
    // What was planned in the first one, or before the second one, is not wanted any more.
    for (const since of [first, second - 1]) await expect(hold(false, since)).rejects.toMatchObject(late);
    const record = await control.getPipeline(soon());
    expect(record.components.flatMap(({ instances }) => instances.map((one) => one.desiredStopped))).toEqual([
      true,
      true,
      true,
    ]);
    end.abort();
    control.close();
  });

  it("serves its own health and every instance's figures over HTTP", async () => {
    await using process = await controlPlaneProcess("p");
    await process.start();
    const control = connectControlPlane(process.grpc);
    await control.applyPipeline(linearPipeline(), soon());
    const source = component(process.grpc, "source");
    await source.register();
    await source.beatOrRegister();
    const get = async (path: string) => fetch(`http://${process.http}${path}`, { signal: soon() });
    expect((await get("/health")).status).toBe(200);
    expect((await get("/ready")).status).toBe(200);
    expect((await get("/nothing")).status).toBe(404);
    const metrics = await (await get("/metrics")).text();
    expect(metrics).toContain('flowctl_instance_events_in_total{component="source",instance="source-1"} 7');
    expect(metrics).toContain('flowctl_instance_state{component="source",instance="source-1",state="healthy"} 1');
    expect(metrics).toContain('flowctl_pipeline_state{state="starting"} 1');
    expect(await (await get("/api/pipeline")).json()).toMatchObject({
      name: "p",
      components: [{ id: "source" }, {}, {}],
    });
    source.close();
    control.close();
  });

  it("ends on SIGTERM with 0, and says in one line why it cannot start", async () => {
    await using first = await controlPlaneProcess("p");
    await first.start();
    await using second = await controlPlaneProcess("p", { FLOWCTL_DATA_DIR: first.dataFolder });
    await expect(second.start()).rejects.toThrow("is in use by another process");
    expect(second.log.trim().split("\n")).toHaveLength(1);
    expect(await first.kill("SIGTERM")).toBe(0);
  });
});

async function listen(server: Server): Promise<{ readonly server: Server; readonly endpoint: string }> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterAll(() => server.close());
  return { server, endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}
