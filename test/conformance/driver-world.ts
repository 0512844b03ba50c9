import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { pipelineSpec } from "../../src/cli/pipeline-spec.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import type {
  Deployment,
  DesiredResource,
  Driver,
  LogLine,
  LogOptions,
  ObservedResource,
  ResourceKey,
} from "../../src/drivers/driver.ts";
import type { Pipeline } from "../../src/pipeline/pipeline.ts";
import type { DesiredChange } from "../../src/protocol/records.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { inOrder, uniqueName } from "./driver-pipelines.ts";

/** How long a state may take to come about before a test fails, in milliseconds. */
const PATIENCE_MS = 30_000;

/** One pipeline of one test. Disposing of it removes whatever is there, and asserts that nothing is left. */
export class World implements AsyncDisposable {
  readonly name = uniqueName();
  readonly fixture: DriverFixture;
  readonly driver: Driver;
  readonly #ended = new AbortController();

  constructor(fixture: DriverFixture) {
    this.fixture = fixture;
    this.driver = fixture.connect();
  }

  /** Fires when the test is over. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  async prepare(deployment: Deployment, driver = this.driver): Promise<readonly DesiredResource[]> {
    return driver.prepare(deployment, { signal: this.signal, progress: () => undefined, build: false, dryRun: false });
  }

  async apply(change: Parameters<Driver["apply"]>[0], deployment?: Deployment, force = false): Promise<void> {
    const context = { pipeline: this.name, signal: this.signal, progress: () => undefined, force };
    await this.driver.apply(change, deployment === undefined ? context : { ...context, deployment });
  }

  /** Creates everything of a deployment, in an order that respects what each waits for. */
  async up(deployment: Deployment): Promise<readonly DesiredResource[]> {
    const resources = await this.prepare(deployment);
    for (const resource of inOrder(resources)) {
      await this.apply({ action: "create", resource, cause: "new" }, deployment);
    }
    return resources;
  }

  /** Tells the control plane of a pipeline, as `up` does, so that it supervises what was created. */
  async tellControlPlane(pipeline: Pipeline): Promise<void> {
    await eventually(async () => {
      const endpoint = await this.driver.controlPlane(this.name, this.signal);
      if (endpoint === undefined) throw new Error("no control plane");
      const client = connectControlPlane(endpoint.grpc, endpoint.identity);
      try {
        await client.applyPipeline(pipelineSpec(pipeline, this.driver.name), AbortSignal.timeout(2_000));
      } finally {
        client.close();
      }
    });
  }

  /** Tells the control plane which instances are to be stopped, as `stop` does, and that others are to run. */
  async tellDesired(change: DesiredChange): Promise<void> {
    const endpoint = await this.driver.controlPlane(this.name, this.signal);
    if (endpoint === undefined) throw new Error("no control plane");
    const client = connectControlPlane(endpoint.grpc, endpoint.identity);
    try {
      await client.setDesiredState(change, AbortSignal.timeout(5_000));
    } finally {
      client.close();
    }
  }

  async observe(): Promise<readonly ObservedResource[]> {
    return this.driver.observe(this.name, this.signal);
  }

  async find(key: ResourceKey): Promise<ObservedResource> {
    const found = (await this.observe()).find((resource) => resource.key === key);
    expect(found, `${key} exists`).toBeDefined();
    return found as ObservedResource;
  }

  /** Waits until a resource is as `wanted` says, and returns it. */
  async until(
    key: ResourceKey,
    wanted: (resource: ObservedResource) => boolean,
    what = "the wanted state",
  ): Promise<ObservedResource> {
    let last: ObservedResource | undefined;
    await eventually(async () => {
      last = (await this.observe()).find((resource) => resource.key === key);
      expect(last !== undefined && wanted(last), `${key} in ${what}, is ${JSON.stringify(last?.state)}`).toBe(true);
    });
    return last as ObservedResource;
  }

  async logs(options: Partial<LogOptions> = {}): Promise<readonly LogLine[]> {
    const lines: LogLine[] = [];
    const all = { select: [], follow: false, ...options };
    for await (const line of this.driver.logs(this.name, all, this.signal)) lines.push(line);
    return lines;
  }

  /** Waits until an instance has said something. */
  async untilSaid(instance: string, text: string): Promise<readonly LogLine[]> {
    let lines: readonly LogLine[] = [];
    await eventually(async () => {
      lines = await this.logs({ select: [instance] });
      expect(lines.map((line) => line.text)).toContain(text);
    });
    return lines;
  }

  /** Waits until an instance has come up so many times and runs, and its program, where it has one, knows how to end. */
  async untilUp(instance: string, times = 1): Promise<void> {
    if (this.fixture.runsPrograms) {
      await eventually(async () => {
        const said = await this.logs({ select: [instance] });
        expect(said.filter(({ text }) => text === "up")).toHaveLength(times);
      });
    }
    await this.until(`component/${instance}`, ({ state }) => state.status === "running", "running");
  }

  /** Removes everything that is there, instances first, volumes too. */
  async down(force = true): Promise<void> {
    const order = ["component", "service", "control-plane", "network", "volume"];
    const observed = [...(await this.observe())].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
    for (const resource of observed) {
      await this.apply({ action: "remove", observed: resource, cause: "down" }, undefined, force);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.down();
      expect(await this.fixture.leftovers(this.name)).toEqual([]);
    } finally {
      this.#ended.abort();
    }
  }
}

/** Tries until `check` passes. Fails with what it last threw. */
export async function eventually(check: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(50);
    }
  }
}
