import { randomBytes } from "node:crypto";
import type { Deployment, DesiredResource } from "../../src/drivers/driver.ts";
import type { Component, Pipeline } from "../../src/pipeline/pipeline.ts";

/** A name that no other test run uses. */
export function uniqueName(): string {
  return `conf-${randomBytes(4).toString("hex")}`;
}

/** A component whose program is a few lines of JavaScript; `running` stays until it is told to end. */
export function component(id: string, script: string, settings: Partial<Component> = {}): Component {
  return {
    id,
    type: "source",
    with: {},
    hostPaths: [],
    inputs: [],
    consumes: [],
    produces: [],
    replicas: 1,
    onError: { action: "fail", retries: 0, backoffMs: 0 },
    command: ["node", "-e", script],
    environment: {},
    dependsOn: {},
    labels: {},
    networks: [],
    ports: [],
    mounts: [],
    tmpfs: [],
    secrets: [],
    configs: [],
    extraHosts: [],
    readOnly: false,
    restart: { name: "no" },
    stopGracePeriodMs: 10_000,
    ulimits: {},
    limits: {},
    reservations: {},
    ...settings,
  };
}

/** Says that it is up, stays, and leaves with 0 when it is asked to. */
export const STAYS = `
  process.on("SIGTERM", () => { console.error("leaving"); process.exit(0); });
  setInterval(() => undefined, 1000);
  console.error("up");
`;

/** Stays whatever it is told. */
export const STUBBORN = `
  process.on("SIGTERM", () => console.error("no"));
  setInterval(() => undefined, 1000);
  console.error("up");
`;

export function pipelineOf(name: string, components: readonly Component[], rest: Partial<Pipeline> = {}): Pipeline {
  return {
    name,
    directory: process.cwd(),
    files: [],
    components,
    services: [],
    secrets: {},
    configs: {},
    volumes: {},
    networks: {},
    schemas: {},
    ...rest,
  };
}

export function deploymentOf(pipeline: Pipeline, secrets: Readonly<Record<string, string>> = {}): Deployment {
  return {
    pipeline: {
      ...pipeline,
      secrets: Object.fromEntries(
        Object.keys(secrets).map((key) => [key, { kind: "environment", variable: key.toUpperCase() } as const]),
      ),
    },
    secretValues: new Map(Object.entries(secrets).map(([key, value]) => [key, Buffer.from(value)])),
    configValues: new Map(),
    options: { persistence: true, logLevel: "info" },
  };
}

/** Resources in an order in which each comes after what it waits for. */
export function inOrder(resources: readonly DesiredResource[]): readonly DesiredResource[] {
  const done = new Set<string>();
  const ordered: DesiredResource[] = [];
  const known = new Set<string>(resources.map(({ key }) => key));
  while (ordered.length < resources.length) {
    const ready = resources.filter(
      ({ key, after }) => !done.has(key) && after.every((need) => done.has(need.key) || !known.has(need.key)),
    );
    if (ready.length === 0) throw new Error("resources wait for each other");
    for (const resource of ready) {
      ordered.push(resource);
      done.add(resource.key);
    }
  }
  return ordered;
}
