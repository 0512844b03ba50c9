import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { type ControlPlane, startControlPlane } from "../../src/control-plane/control-plane.ts";
import { createMemoryStore } from "../../src/control-plane/store/memory-store.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { silentLogger } from "../../src/foundation/logger.ts";
import type { ComponentSpec, InputSpec, OnErrorSpec } from "../../src/protocol/records.ts";
import type { ComponentDefinition } from "../../src/sdk/component.ts";
import { runComponent } from "../../src/sdk/run-component.ts";

export { anything, collect, numbers, numbersOf, oneTo, until } from "./sdk-components.ts";

/** Components run in this process, by the SDK's own runtime, against a real control plane and over real streams. */
let controlPlane: ControlPlane;
let folder: string;
const stops: AbortController[] = [];
const runs: Promise<unknown>[] = [];

/** Gives each test of the file that calls it a control plane of its own, and ends what it has run. */
export function useSdkWorld(): void {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowctl-sdk-"));
    controlPlane = await startControlPlane({
      pipeline: "p",
      grpcListen: "127.0.0.1:0",
      httpListen: "127.0.0.1:0",
      store: createMemoryStore(),
      clock: systemClock,
      log: silentLogger,
    });
  });

  afterEach(async () => {
    for (const stop of stops.splice(0)) stop.abort();
    await Promise.allSettled(runs.splice(0));
    await controlPlane.close();
    await rm(folder, { recursive: true, force: true });
  });
}

export const FAIL: OnErrorSpec = { action: "fail", to: "", retries: 0, backoffMs: 0 };

export function spec(
  id: string,
  type: ComponentSpec["type"],
  inputs: readonly (string | InputSpec)[] = [],
  more: Partial<ComponentSpec> = {},
): ComponentSpec {
  return {
    id,
    type,
    inputs: inputs.map((input) => (typeof input === "string" ? { from: input, types: [] } : input)),
    replicas: 1,
    consumes: [],
    produces: [],
    partitionBy: "",
    maxRestarts: 5,
    onError: FAIL,
    ...more,
  };
}

export async function apply(...components: ComponentSpec[]): Promise<void> {
  const client = connectControlPlane(controlPlane.grpcAddress);
  await client.applyPipeline({ name: "p", driver: "process", components }, AbortSignal.timeout(5_000));
  client.close();
}

export async function pipeline() {
  const client = connectControlPlane(controlPlane.grpcAddress);
  const record = await client.getPipeline(AbortSignal.timeout(5_000));
  client.close();
  return record;
}

interface Started {
  readonly outcome: Promise<"completed" | "stopped">;
  stop(): void;
}

export function start(id: string, component: ComponentDefinition, index = 1, config: unknown = {}): Started {
  const stop = new AbortController();
  stops.push(stop);
  const outcome = runComponent(component, {
    environment: {
      instance: { pipeline: "p", componentId: id, instanceId: `${id}-${index}`, index, replicas: 1 },
      type: component.type,
      controlPlane: controlPlane.grpcAddress,
      listen: "127.0.0.1:0",
      advertise: undefined,
      healthHost: "127.0.0.1",
      healthPort: 0,
      config,
      stateDirectory: join(folder, `${id}-${index}`),
      secretsDirectory: folder,
      logLevel: "info",
      stopGraceMs: 10_000,
    },
    config,
    clock: systemClock,
    log: silentLogger,
    stop: stop.signal,
    secret: async () => "",
  });
  runs.push(outcome);
  outcome.catch(() => undefined);
  return { outcome, stop: () => stop.abort() };
}
