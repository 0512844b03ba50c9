import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Writable } from "node:stream";
import type { ControlPlaneClient, ReplayedEvent } from "../client/client.ts";
import { builtinCatalog } from "../components/catalog.ts";
import type { ObservedState } from "../drivers/driver.ts";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { type Clock, systemClock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { packageRoot } from "../foundation/package-root.ts";
import type { Authority } from "../identity/authority.ts";
import { testAuthority, testSource } from "../identity/identity.fake.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import type { ReplayAnswer } from "../protocol/control-codec.ts";
import {
  type AccessGrant,
  type ComponentState,
  instanceIdsOf,
  type KeptPipeline,
  type OperationName,
  type PipelineRecord,
  type PipelineSpec,
  type PipelineState,
} from "../protocol/records.ts";
import type { CliDependencies, OutputStream } from "./dependencies.ts";
import { runCli } from "./run-cli.ts";

function fasterClock(speed: number): Clock {
  const { now, elapsed, sleep } = systemClock;
  return { now, elapsed: () => elapsed() * speed, sleep: (ms, signal) => sleep(ms / speed, signal) };
}

/** What a run of the command line left behind. */
export interface CliRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A control plane that believes whatever a test tells it. */
export class MemoryControlPlane {
  spec: PipelineSpec | undefined;
  state: PipelineState = "running";
  reason = "";
  readonly instanceStates = new Map<string, { readonly state: ComponentState; readonly reason: string }>();
  applied = 0;
  /** What every instance has received. */
  eventsIn = 10;
  /** `instance observation` of everything it was told from outside. */
  readonly reports: string[] = [];
  /** Every change of the desired state that it was told, such as `running a-1, renewed a-1`. */
  readonly desired: string[] = [];
  /** Ids of instances that are to be stopped. */
  readonly stopped = new Set<string>();
  /** The command that changes the pipeline now. */
  operation: string | undefined;
  away = false;
  /** How many operations there were, and of which each change was that it was told. */
  operations = 0;
  /** Number of the last one that took over. */
  tookOver = 0;
  readonly askedBy: number[] = [];
  /** Why it would refuse any change. */
  refusal: FlowctlError | undefined;
  /** Why it refuses the next changes, one after the other. */
  readonly refusals: FlowctlError[] = [];
  kept: KeptPipeline = {};
  /** How it answers whoever has given it something to keep. */
  answerKeep: ((signal: AbortSignal) => Promise<undefined>) | undefined;
  readonly grants: AccessGrant[] = [];
  /** What certificates are made by, for those who are given access. */
  authority: Authority | undefined;
  /** Why nobody could be given access. */
  grantRefusal: FlowctlError | undefined;
  /** How often the owner's certificate was replaced. */
  rotated = 0;
  /** Ids of events that were sent to components again, by component, each acknowledged at once. */
  readonly replayed: (readonly [componentId: string, id: string])[] = [];
  /** What ends a replay after so many events. */
  replayFailure: { readonly after: number; readonly error: FlowctlError } | undefined;
  /** Of every instance: when it was last told of a change. */
  #registeredAt = Date.now();
  #life = new AbortController();
  /** Called once when a command begins to hold the operation, before it does: what another one does right before. */
  beforeHold: (() => void) | undefined;

  client(): ControlPlaneClient {
    const present = <T>(value: T): Promise<T> => {
      if (!this.away) return Promise.resolve(value);
      return Promise.reject(new FlowctlError({ code: "client/unreachable", kind: "unavailable", message: "away" }));
    };
    return {
      applyPipeline: (spec, _signal, { operation = 0 } = {}) => {
        const refusal = this.refusals.shift() ?? this.refusal;
        if (refusal !== undefined) return Promise.reject(refusal);
        this.spec = spec;
        this.#registeredAt = Math.max(this.#registeredAt + 1, Date.now());
        this.askedBy.push(operation);
        this.applied++;
        const { latest: _, ...rest } = this.kept;
        this.kept = rest;
        return present({ changed: true });
      },
      checkPipeline: () => (this.refusal === undefined ? present(undefined) : Promise.reject(this.refusal)),
      getPipeline: () => present(this.record()),
      getComponents: () => present(this.record().components),
      getComponentStatus: (id) => {
        const found = this.record().components.find((component) => component.id === id);
        if (found === undefined) throw new FlowctlError({ code: "registry/unknown", kind: "not-found", message: id });
        return present(found);
      },
      async *watchEvents({ follow }, signal) {
        if (!follow) return;
        if (!signal.aborted) await new Promise((wake) => signal.addEventListener("abort", wake, { once: true }));
      },
      setDesiredState: (change, _signal, operation = 0) => {
        this.#registeredAt = Math.max(this.#registeredAt + 1, Date.now());
        this.askedBy.push(operation);
        const said = Object.entries(change).map(([key, ids]) => `${key} ${[ids].flat().join(" ")}`);
        this.desired.push(said.filter((one) => !one.endsWith(" ")).join(", "));
        for (const id of [...(change.running ?? []), ...(change.started ?? [])]) this.stopped.delete(id);
        const all = (this.spec?.components ?? []).flatMap((component) => instanceIdsOf(component));
        const going = (change.stopped === "all" ? all : (change.stopped ?? [])).filter((id) => !this.stopped.has(id));
        for (const id of going) this.stopped.add(id);
        return present(going);
      },
      holdOperation: (name, options, signal) => this.#hold(name, options, signal),
      keepPipeline: (content, signal) => {
        this.kept = content.length === 0 ? {} : { healthy: content, latest: content };
        return this.answerKeep?.(signal) ?? present(undefined);
      },
      keptPipeline: () => present(this.kept),
      replayEvents: (componentId, events) => this.#replay(componentId, events),
      reportInstance: ({ instanceId, observation }) => {
        this.reports.push(`${instanceId} ${observation}`);
        return present(undefined);
      },
      grantAccess: (name, role) => {
        if (this.grantRefusal !== undefined) return Promise.reject(this.grantRefusal);
        const { authority } = this;
        if (authority === undefined) return Promise.reject(new Error("the control plane has no authority"));
        this.grants.push({ name, role, grantedAt: 1_000, grantedBy: "owner" });
        return present(undefined).then(() => authority.issue({ role, pipeline: authority.pipeline }));
      },
      revokeAccess: (name) => {
        this.grants.splice(0, Infinity, ...this.grants.filter((grant) => grant.name !== name));
        return present(undefined);
      },
      listAccess: () => present(this.grants),
      rotateOwner: () => {
        this.rotated++;
        return present(undefined);
      },
      openSession: () => present({ code: "CODE", expiresInMs: 300_000 }),
      close: () => undefined,
    };
  }

  async *#hold(
    { command }: OperationName,
    { takeOver, unchangedSince = 0 }: { readonly takeOver: boolean; readonly unchangedSince?: number },
    signal: AbortSignal,
  ): AsyncGenerator<number> {
    if (this.away) throw new FlowctlError({ code: "client/unreachable", kind: "unavailable", message: "away" });
    const meanwhile = this.beforeHold;
    this.beforeHold = undefined;
    meanwhile?.();
    if (this.operation !== undefined && !takeOver) {
      const message = `\`${this.operation}\` is changing this pipeline`;
      throw new FlowctlError({ code: "control/operation-under-way", kind: "conflict", message });
    }
    if (unchangedSince !== 0 && this.tookOver > unchangedSince) {
      const message = "another command has taken over this pipeline";
      throw new FlowctlError({ code: "control/operation-taken-over", kind: "conflict", message });
    }
    if (unchangedSince !== 0 && this.operations > unchangedSince) {
      const message = "another command changed this pipeline after this change was planned";
      throw new FlowctlError({ code: "control/changed-since", kind: "conflict", message });
    }
    this.operation = command;
    try {
      this.operations++;
      if (takeOver) this.tookOver = this.operations;
      yield this.operations;
      const end = AbortSignal.any([signal, this.#life.signal]);
      if (!end.aborted) await new Promise((wake) => end.addEventListener("abort", wake, { once: true }));
    } finally {
      this.operation = undefined;
    }
  }

  async *#replay(componentId: string, events: AsyncIterable<ReplayedEvent>): AsyncGenerator<ReplayAnswer> {
    yield { upstreamId: `${componentId}-replay-1`, acknowledged: [] };
    let number = 0;
    for await (const { id } of events) {
      if (this.replayFailure?.after === number) throw this.replayFailure.error;
      this.replayed.push([componentId, id]);
      yield { upstreamId: "", acknowledged: [number++] };
    }
  }

  /** As one that is started anew: nobody holds anything any more, and operations go on counting. */
  restart(): void {
    this.#life.abort();
    this.#life = new AbortController();
  }

  record(): PipelineRecord {
    const now = Date.now();
    const connections = { upstream: [], downstream: [] };
    const all = this.spec?.components ?? [];
    const components = all.map(({ id, type, replicas, inputs, instanceIds }) => ({
      id,
      type,
      state: this.instanceStates.get(`${id}-1`)?.state ?? ("healthy" as const),
      connections: {
        ...connections,
        upstream: [
          ...inputs.map(({ from }) => from),
          ...all.filter(({ onError }) => onError.to === id).map((other) => other.id),
        ],
      },
      desiredInstances: replicas,
      totals: { ...noMetrics, eventsIn: this.eventsIn * replicas, eventsOut: 10 * replicas },
      instances: instanceIdsOf({ id, replicas, ...(instanceIds === undefined ? {} : { instanceIds }) }).map(
        (instance) => ({
          ...instanceRecord(instance, now, this.instanceStates, this.eventsIn),
          registeredAt: this.#registeredAt,
          desiredStopped: this.stopped.has(instance),
        }),
      ),
    }));
    return {
      id: "1",
      name: this.spec?.name ?? "",
      state: this.state,
      reason: this.reason,
      driver: this.spec?.driver ?? "",
      startedAt: now - 5_000,
      ...(this.spec === undefined ? {} : { spec: this.spec }),
      components,
      topology: Object.fromEntries(components.map(({ id, connections: own }) => [id, own])),
    };
  }
}

function instanceRecord(id: string, now: number, states: MemoryControlPlane["instanceStates"], eventsIn: number) {
  const metrics = { ...noMetrics, eventsIn, eventsOut: 10 };
  return {
    id,
    state: states.get(id)?.state ?? ("healthy" as const),
    reason: states.get(id)?.reason ?? "",
    address: `${id}:50051`,
    healthEndpoint: `${id}:8088`,
    lastHeartbeat: now,
    metadata: {},
    metrics,
    totals: metrics,
    restarts: 0,
    consumes: [],
    produces: [],
  };
}

/** The command line over a driver and a control plane in memory, in a folder of its own. */
export class CliHarness implements AsyncDisposable {
  readonly folder: string;
  cwd: string;
  readonly drivers: readonly MemoryDriver[];
  readonly controlPlane = new MemoryControlPlane();
  /** Whether the machine was booted with systemd. */
  hasSystemd = false;
  readonly first = new AbortController();
  readonly second = new AbortController();
  env: Record<string, string | undefined>;

  private constructor(folder: string, drivers: readonly MemoryDriver[]) {
    this.folder = folder;
    this.cwd = folder;
    this.drivers = drivers;
    this.env = { XDG_CONFIG_HOME: join(folder, "config"), HOME: folder };
  }

  static async create(files: Readonly<Record<string, string>>, drivers?: readonly MemoryDriver[]): Promise<CliHarness> {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-cli-"));
    // Programs of a pipeline that has completed, as its control plane says, have exited.
    const startedState = ({ kind }: { readonly kind: string }): ObservedState =>
      kind === "component" && harness.controlPlane.state === "completed" ? EXITED : RUNNING;
    const harness: CliHarness = new CliHarness(
      folder,
      drivers ?? [new MemoryDriver({ name: "process", startedState })],
    );
    for (const [name, text] of Object.entries(files)) await harness.write(name, text);
    return harness;
  }

  /** How many times faster than the machine's its clock goes. */
  speed = 1;

  async write(name: string, text: string): Promise<void> {
    await mkdir(dirname(join(this.folder, name)), { recursive: true });
    await writeFile(join(this.folder, name), text);
  }

  /** Lets everybody prove who they are from now on, by certificates of an authority of the pipeline. */
  async secure(pipeline: string): Promise<void> {
    const authority = await testAuthority(pipeline);
    this.controlPlane.authority = authority;
    for (const driver of this.drivers) driver.identity = await testSource(authority, { role: "operator", pipeline });
  }

  async run(...args: string[]): Promise<CliRun> {
    const stdout = new Collector();
    const stderr = new Collector();
    const code = await runCli(args, this.dependencies(stdout, stderr));
    return { code, stdout: stdout.text, stderr: stderr.text };
  }

  dependencies(stdout: OutputStream, stderr: OutputStream): CliDependencies {
    return {
      version: "1.2.3",
      env: this.env,
      cwd: this.cwd,
      stdout,
      stderr,
      clock: fasterClock(this.speed),
      interrupts: {
        first: this.first.signal,
        second: this.second.signal,
        answerSecond: () => () => undefined,
        ignoreOutput: () => undefined,
      },
      driverNames: this.drivers.map(({ name }) => name),
      driver: async (name) => {
        const found = this.drivers.find((driver) => driver.name === name);
        if (found === undefined) throw new Error(`no driver ${name}`);
        return found;
      },
      connect: async () => this.controlPlane.client(),
      catalog: async () => builtinCatalog,
      homeKey: async () => new Uint8Array(32),
      readStdin: async () => "",
      runBuiltin: async () => undefined,
      hasSystemd: () => this.hasSystemd,
      packageRoot: packageRoot(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

const EXITED: ObservedState = { status: "exited", exitCode: 0, oomKilled: false, finishedAt: 0, restarts: 0 };
const RUNNING: ObservedState = { status: "running", startedAt: 0, health: "healthy", restarts: 0 };

class Collector extends Writable implements OutputStream {
  text = "";

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
