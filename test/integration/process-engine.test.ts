import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Change, DesiredResource, DriverEvent, ObservedResource } from "../../src/drivers/driver.ts";
import { type PipelinePaths, pipelinePaths } from "../../src/drivers/process/home/paths.ts";
import { createEngine, type Engine } from "../../src/drivers/process/instance/engine.ts";
import { markedProcesses, signalProcess } from "../../src/drivers/process/instance/process-identity.ts";
import { observePipeline } from "../../src/drivers/process/observe.ts";
import { engineDriver } from "../../src/drivers/process/supervisor/engine-driver.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { silentLogger } from "../../src/foundation/logger.ts";
import { eventually, scriptedComponent } from "./process-driver/bench.ts";

const never = new AbortController().signal;
const context = { signal: never, force: true };

/** An engine in this very process, without a supervisor around it. */
interface EngineBench extends AsyncDisposable {
  readonly engine: Engine;
  readonly paths: PipelinePaths;
  resource(id: string, script: string, hash: string): DesiredResource;
  create(id: string, script: string): Promise<ObservedResource>;
  observed(key: string): Promise<ObservedResource>;
}

async function createEngineBench(): Promise<EngineBench> {
  const home = mkdtempSync(join(tmpdir(), "flowctl-engine-"));
  const paths = pipelinePaths(home, "bench");
  const engine = createEngine({
    paths,
    clock: systemClock,
    log: silentLogger,
    inherited: () => ({ PATH: process.env.PATH ?? "" }),
    controlPlane: "127.0.0.1:1",
    logs: { flush: () => undefined, forget: () => undefined },
  });
  await engine.recover();
  const observed = async (key: string): Promise<ObservedResource> => {
    const found = (await observePipeline(paths, never)).find((resource) => resource.key === key);
    if (found === undefined) throw new Error(`no ${key}`);
    return found;
  };
  const resourceOf = (id: string, script: string, hash: string): DesiredResource => {
    const component = scriptedComponent(id, script);
    return {
      ...{ key: `component/${id}-1`, kind: "component", owner: id, index: 1, hash, parts: {}, after: [] },
      spec: { kind: "component", component, argv: component.command, directory: home, logLevel: "info" },
    };
  };
  return {
    engine,
    paths,
    observed,
    resource: resourceOf,
    async create(id, script) {
      const resource = resourceOf(id, script, "1");
      await engine.apply({ action: "create", resource }, context);
      return observed(resource.key);
    },
    async [Symbol.asyncDispose]() {
      await engine.stopAll(context);
      await engine.close();
      for (const { pid } of markedProcesses(paths.runId)) signalProcess(pid, "SIGKILL");
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function change(action: "start" | "stop" | "restart" | "remove", observed: ObservedResource): Change {
  return { action, observed, cause: "test" };
}

test("a policy leaves alone what somebody removed, and starts what ended by itself", async () => {
  await using bench = await createEngineBench();
  const policy = engineDriver(bench.engine, bench.paths, systemClock);
  const asked = { pipeline: "bench", signal: never, progress: () => undefined };
  const a = await bench.create("a", "serve");
  process.kill(Number((await bench.observed("component/a-1")).ref), "SIGKILL");
  await eventually("it has exited", async () => (await bench.observed("component/a-1")).state.status === "exited");
  await policy.apply(change("start", a), asked);
  expect((await bench.observed("component/a-1")).state).toMatchObject({ status: "running", restarts: 1 });

  await bench.engine.apply(change("remove", a), context);
  await policy.apply(change("start", a), asked);
  await expect(bench.observed("component/a-1")).rejects.toThrow();
});

test("a policy that looks, and listens only after something happened, is told of it", async () => {
  await using bench = await createEngineBench();
  const policy = engineDriver(bench.engine, bench.paths, systemClock);
  await policy.observe("bench", never);
  await bench.create("a", "finish");
  await eventually("it has exited", async () => (await bench.observed("component/a-1")).state.status === "exited");
  const stop = new AbortController();
  const seen: DriverEvent["type"][] = [];
  for await (const event of policy.events("bench", stop.signal)) {
    seen.push(event.type);
    if (event.type === "exited") stop.abort();
  }
  expect(seen).toEqual(["started", "exited"]);
});

test("changes of one instance that are asked for at once are made one after the other", async () => {
  await using bench = await createEngineBench();
  const a = await bench.create("a", "serve");
  const actions = ["restart", "stop", "start", "restart", "stop", "start"] as const;
  await Promise.all(actions.map((action) => bench.engine.apply(change(action, a), context)));
  expect((await bench.observed("component/a-1")).state.status).toBe("running");
  expect(markedProcesses(bench.paths.runId)).toHaveLength(1);
});

test.each(["create", "replace"] as const)(
  "a %s that is under way when everything is stopped leaves nothing behind",
  async (action) => {
    await using bench = await createEngineBench();
    const calm = { signal: never, force: false };
    const replaced = action === "replace" ? await bench.create("a", "serve") : undefined;
    const resource = bench.resource("a", "serve", "2");
    const made = bench.engine.apply(
      replaced === undefined ? { action: "create", resource } : { action, resource, observed: replaced },
      calm,
    );
    const outcome = made.then(
      () => undefined,
      (error: unknown) => error,
    );
    await bench.engine.stopAll(calm);
    expect(await outcome).toMatchObject({ code: "process/supervisor-stopping", kind: "unavailable" });
    expect(markedProcesses(bench.paths.runId)).toEqual([]);
    await expect(bench.engine.apply({ action: "create", resource }, calm)).rejects.toMatchObject({
      kind: "unavailable",
    });
    await bench.engine.close();
    expect(markedProcesses(bench.paths.runId)).toEqual([]);
  },
);

test("an engine that is closed has no change under way any more", async () => {
  await using bench = await createEngineBench();
  const calm = { signal: never, force: false };
  let isOver = false;
  const over = bench.engine
    .apply({ action: "create", resource: bench.resource("a", "serve", "1") }, calm)
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
    });
  await bench.engine.close();
  const running = markedProcesses(bench.paths.runId).length;
  await over;
  expect(isOver).toBe(true);
  expect(markedProcesses(bench.paths.runId)).toHaveLength(running);
});

test("a change whose signal has fired is not begun", async () => {
  await using bench = await createEngineBench();
  const a = await bench.create("a", "serve");
  const gone = { signal: AbortSignal.abort(), force: true };
  await expect(bench.engine.apply(change("stop", a), gone)).rejects.toMatchObject({ kind: "cancelled" });
  expect((await bench.observed("component/a-1")).state.status).toBe("running");
});

test("a program that the system will not run is an error that names it, and can be mended", async () => {
  await using bench = await createEngineBench();
  const component = scriptedComponent("a", "serve");
  const make = (argv: readonly string[], hash: string): Change => ({
    action: "create",
    cause: "test",
    resource: {
      ...{ key: "component/a-1", kind: "component", owner: "a", index: 1, hash, parts: {}, after: [] },
      spec: { kind: "component", component, argv, directory: tmpdir(), logLevel: "info" },
    },
  });
  await expect(bench.engine.apply(make(["/no/such/program"], "1"), context)).rejects.toMatchObject({
    code: "process/spawn-failed",
    message: expect.stringContaining("/no/such/program"),
  });
  await bench.engine.apply(make(component.command ?? [], "2"), context);
  expect((await bench.observed("component/a-1")).state.status).toBe("running");
});

test("what is stopped ends, also where that cannot be recorded, which is then an error", async () => {
  await using bench = await createEngineBench();
  const observed = await bench.create("full", "live");
  const record = join(bench.paths.instances, "full-1.json");
  rmSync(record);
  mkdirSync(join(record, "in-the-way"), { recursive: true });
  const stopped = bench.engine.apply(change("stop", observed), context);
  await expect(stopped).rejects.toMatchObject({ code: "process/state-not-written" });
  expect(markedProcesses(bench.paths.runId)).toEqual([]);
  rmSync(record, { recursive: true });
});
