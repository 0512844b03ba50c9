import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  Change,
  Deployment,
  DesiredResource,
  Driver,
  LogLine,
  ObservedResource,
} from "../../../src/drivers/driver.ts";
import { createProcessDriver } from "../../../src/drivers/process/driver.ts";
import { type PipelinePaths, pipelinePaths } from "../../../src/drivers/process/home/paths.ts";
import {
  type MarkedProcess,
  markedProcesses,
  signalProcess,
} from "../../../src/drivers/process/instance/process-identity.ts";
import type { ProcessEntries } from "../../../src/drivers/process/supervisor/entries.ts";
import { systemClock } from "../../../src/foundation/clock.ts";
import type { Component, Pipeline } from "../../../src/pipeline/pipeline.ts";
import { bundledProgram } from "../../bundled-program.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const scripted = fileURLToPath(new URL("scripted-component.mjs", import.meta.url));

/** One pipeline under a home of its own (in `folder` of a temporary one), and what tests do with it and ask of it. */
export interface Bench extends AsyncDisposable {
  readonly driver: Driver;
  readonly paths: PipelinePaths;
  readonly home: string;
  /** Another driver on the same home, as another command would have. */
  anotherDriver(options?: { readonly patienceMs?: number }): Driver;
  deployment(components: readonly Component[], more?: Partial<Deployment>): Deployment;
  /** Makes everything of the deployment that is missing or differs, in order; as `up` does. */
  up(deployment: Deployment, driver?: Driver): Promise<readonly DesiredResource[]>;
  /** Removes everything, volumes included, as `down -v` does. */
  down(driver?: Driver, options?: { readonly force?: boolean; readonly volumes?: boolean }): Promise<void>;
  apply(change: Change, options?: { readonly force?: boolean; readonly deployment?: Deployment }): Promise<void>;
  observed(key: string): Promise<ObservedResource>;
  logs(...select: readonly string[]): Promise<readonly LogLine[]>;
  processes(): readonly MarkedProcess[];
  /** The one that serves, or is being started. */
  supervisor(): MarkedProcess;
  /** The process that waits for its end. */
  watcher(): MarkedProcess;
  /** Kills the supervisor and its watcher, at once. */
  killSupervisor(): void;
}

export function createBench(environment: Readonly<Record<string, string>> = {}, folder = ""): Bench {
  const root = mkdtempSync(join(tmpdir(), "flowctl-process-"));
  const home = join(root, folder);
  mkdirSync(home, { recursive: true });
  const entries: ProcessEntries = {
    supervisor: [process.execPath, bundledProgram(fileURLToPath(new URL("stub-supervisor.ts", import.meta.url)))],
    component: [process.execPath, scripted],
    supervisorCode: "test",
    componentCode: "test",
  };
  const anotherDriver: Bench["anotherDriver"] = (options = {}) =>
    createProcessDriver({
      packageRoot: repository,
      version: "0.0.0-test",
      environment: { ...process.env, ...environment, FLOWCTL_HOME: home },
      clock: systemClock,
      entries,
      ...options,
    });
  const driver = anotherDriver();
  const paths = pipelinePaths(home, "bench");
  const signal = new AbortController().signal;
  const pipeline = "bench";
  const ignore = (): void => undefined;
  const base = { pipeline, signal, progress: ignore };

  const bench: Bench = {
    driver,
    paths,
    home,
    anotherDriver,
    deployment: (components, more = {}) => ({
      pipeline: { ...emptyPipeline(home), components },
      secretValues: new Map(),
      configValues: new Map(),
      options: { persistence: false, logLevel: "debug" },
      ...more,
    }),
    async up(deployment, by = driver) {
      const desired = await by.prepare(deployment, { signal, progress: ignore, build: false, dryRun: false });
      const observed = new Map((await by.observe(pipeline, signal)).map((resource) => [resource.key, resource]));
      const context = { ...base, deployment };
      const make = async (resource: DesiredResource): Promise<void> => {
        const there = observed.get(resource.key);
        if (there === undefined) return by.apply({ action: "create", resource, cause: "test" }, context);
        if (there.hash !== resource.hash) {
          return by.apply({ action: "replace", resource, observed: there, cause: "test" }, context);
        }
        if (there.state.status !== "running") {
          return by.apply({ action: "start", observed: there, cause: "test" }, context);
        }
      };
      for (const resource of desired.filter(({ kind }) => kind !== "component")) await make(resource);
      await Promise.all(desired.filter(({ kind }) => kind === "component").map(make));
      return desired;
    },
    async down(by = driver, { force = false, volumes = true } = {}) {
      for (const kinds of [["component"], ["control-plane"], ...(volumes ? [["volume"]] : [])]) {
        const observed = await by.observe(pipeline, signal);
        await Promise.all(
          observed
            .filter(({ kind }) => kinds.includes(kind))
            .map((resource) => by.apply({ action: "remove", observed: resource, cause: "test" }, { ...base, force })),
        );
      }
    },
    apply: (change, options = {}) => driver.apply(change, { ...base, ...options }),
    async observed(key) {
      const all = await driver.observe(pipeline, signal);
      const found = all.find((resource) => resource.key === key);
      if (found === undefined) throw new Error(`${key} is not among ${all.map((resource) => resource.key).join(", ")}`);
      return found;
    },
    async logs(...select) {
      const lines: LogLine[] = [];
      for await (const line of driver.logs(pipeline, { select, follow: false }, signal)) lines.push(line);
      return lines;
    },
    processes: () => markedProcesses(paths.runId),
    supervisor() {
      const found = bench.processes().find(isSupervisor);
      if (found === undefined) throw new Error("no supervisor runs");
      return found;
    },
    watcher() {
      const found = bench.processes().find(({ isWatcher }) => isWatcher);
      if (found === undefined) throw new Error("no watcher runs");
      return found;
    },
    killSupervisor() {
      const { pid } = bench.supervisor();
      // Stopped, it cannot start another watcher meanwhile.
      process.kill(pid, "SIGSTOP");
      for (const { isWatcher, pid: other } of bench.processes()) if (isWatcher) signalProcess(other, "SIGKILL");
      process.kill(pid, "SIGKILL");
    },
    async [Symbol.asyncDispose]() {
      await bench.down(driver, { force: true });
      for (const { pid } of bench.processes()) signalProcess(pid, "SIGKILL");
      rmSync(root, { recursive: true, force: true });
    },
  };
  return bench;
}

/** Whether a process is a supervisor, rather than its watcher or a component. */
export function isSupervisor({ instance, isWatcher, pid, group }: MarkedProcess): boolean {
  return instance === undefined && !isWatcher && pid === group;
}

/** A component whose program does what `script` says (see scripted-component.mjs). */
export function scriptedComponent(id: string, script: string, more: Partial<Component> = {}): Component {
  return {
    id,
    type: "source",
    with: {},
    hostPaths: [],
    inputs: [],
    consumes: [],
    produces: [],
    replicas: 1,
    onError: { action: "fail", retries: 0, backoffMs: 100 },
    command: [process.execPath, scripted],
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
    restart: { name: "on-failure" },
    stopGracePeriodMs: 10_000,
    ulimits: {},
    limits: {},
    reservations: {},
    ...more,
    environment: { SCRIPT: script, ...more.environment },
  };
}

function emptyPipeline(directory: string): Pipeline {
  return {
    name: "bench",
    directory,
    files: [join(directory, "pipeline.yaml")],
    components: [],
    services: [],
    secrets: {},
    configs: {},
    volumes: {},
    networks: {},
    schemas: {},
  };
}

/** Asks until `condition` gives something truthy, and returns that. Fails after 20 s, saying what it waited for. */
export async function eventually<T>(what: string, condition: () => Promise<T> | T): Promise<NonNullable<T>> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
