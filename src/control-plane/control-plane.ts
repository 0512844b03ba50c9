import type { Clock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Logger } from "../foundation/logger.ts";
import { identityOf } from "../identity/authority.ts";
import { changingIdentity } from "../identity/tls-identity.ts";
import type { InstanceReport, PipelineRecord } from "../protocol/records.ts";
import { eventStreamService } from "../streams/sending/event-stream-server.ts";
import { Access } from "./access/access.ts";
import { HttpGate } from "./access/http-gate.ts";
import { Sessions } from "./access/sessions.ts";
import { warnBeforeExpiry } from "./authority-expiry.ts";
import { Checkpoints } from "./checkpoints.ts";
import { tellingJumps } from "./clock-jumps.ts";
import { controlService } from "./control-service.ts";
import type { HandlerContext } from "./grpc-handlers.ts";
import { type GrpcAdmission, startGrpcServer } from "./grpc-server.ts";
import { monitorHealth } from "./health-monitor.ts";
import { createHttpHealthProbe } from "./health-probe.ts";
import { startHttpServer } from "./http-server.ts";
import { Joins, type JoinsOptions, type PipelineIdentity } from "./joins.ts";
import { KeptPipelines } from "./kept-pipeline.ts";
import {
  forgetInstance,
  type KeptState,
  keepEvent,
  keepInstance,
  keepOperations,
  keepPipeline,
  loadKeptState,
} from "./kept-state.ts";
import { createMetrics } from "./metrics.ts";
import { PartitionTable } from "./partitions/partition-table.ts";
import { type NewEvent, PipelineEvents } from "./pipeline-events.ts";
import { Registry } from "./registry.ts";
import { registryService } from "./registry-service.ts";
import { Replays } from "./replay/replays.ts";
import { StateWriter } from "./state-writer.ts";
import type { Store } from "./store/store.ts";
import type { SupervisedDriver } from "./supervisor/supervised-driver.ts";
import { type Supervision, supervise } from "./supervisor/supervisor.ts";

export interface ControlPlaneOptions {
  /** Name of the pipeline; there is one a control plane. */
  readonly pipeline: string;
  /** `host:port` of the gRPC server and of the HTTP server; port 0 takes a free one. */
  readonly grpcListen: string;
  readonly httpListen: string;
  /** Belongs to the control plane from now on; closed with it. */
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** What makes certificates: everybody who calls then needs one of them. Left out: all speak in the clear. */
  readonly identity?: PipelineIdentity;
  /** Whether metrics are only for whoever has access; else for everybody who reaches the port. */
  readonly protectMetrics?: boolean;
  /** What components are told to keep to; default 10,000. */
  readonly heartbeatIntervalMs?: number;
  /** Silence after which an instance is unhealthy; default 30,000. */
  readonly unhealthyAfterMs?: number;
  /** Between two polls of an instance's /health; default 5,000. */
  readonly pollIntervalMs?: number;
}

export interface ControlPlane {
  /** `host:port` of the servers, with the ports that were given. */
  readonly grpcAddress: string;
  readonly httpAddress: string;
  /** What somebody saw of an instance from outside. Never throws. */
  report(report: InstanceReport): void;
  /** Keeps the pipeline's instances running by `driver` from now until `close`. At most once. */
  supervise(driver: SupervisedDriver): void;
  /** Starts and stops nothing any more, and resolves when nothing is under way. Call it before the host ends instances. */
  halt(): Promise<void>;
  /** Resolves with the error after which state is not kept any more: the process is then to end. */
  readonly failure: Promise<FlowctlError>;
  /** Ends streams and servers, writes what is pending, closes the store. Idempotent. */
  close(): Promise<void>;
}

/** Events that are kept for those who ask later. */
const eventsKept = 2000;
const probeTimeoutMs = 2000;
/** So long a start that is under way may delay the answer to whoever wants it stopped; it is stopped afterwards, too. */
const SETTLE_MS = 3_000;

/**
 * Starts a pipeline's control plane, with the state that the store holds from an earlier one. Resolves when it serves.
 * Rejects with `store/…` or `control-plane/cannot-listen`.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { store, log } = options;
  let onJump: (ms: number) => void = () => undefined;
  const clock = tellingJumps(options.clock, (ms) => onJump(ms));
  const stopping = new AbortController();
  const halted = new AbortController();
  const supervising = AbortSignal.any([stopping.signal, halted.signal]);
  let supervision: Supervision | undefined;
  let fail: (error: FlowctlError) => void = () => undefined;
  const failure = new Promise<FlowctlError>((resolve) => {
    fail = resolve;
  });
  const kept = await loadKeptState(store);
  const writer = new StateWriter(store, fail);
  const events = new PipelineEvents({
    capacity: eventsKept,
    kept: kept.events,
    onAppend: (event, evicted) => keepEvent(writer, event, evicted),
  });
  const unhealthyAfterMs = options.unhealthyAfterMs ?? 30_000;
  const record = (event: NewEvent): void => {
    events.append(event, clock.now());
    log.info(inWords(event), loggable(event));
  };
  const registry = new Registry({
    pipeline: options.pipeline,
    clock,
    unhealthyAfterMs,
    journal: {
      event: record,
      pipelineChanged: (pipeline) => keepPipeline(writer, pipeline),
      instanceChanged: (instance) => keepInstance(writer, instance),
      instanceRemoved: (componentId, instanceId) => forgetInstance(writer, componentId, instanceId),
    },
    restored: kept,
    operations: { kept: kept.operations, onBegin: (operations) => keepOperations(writer, operations) },
  });
  onJump = (ms) => {
    supervision?.clockJumped(ms);
    registry.clockJumped(ms);
  };
  const report = (seen: InstanceReport): void => registry.report(seen, clock.now());
  const context: HandlerContext = { log, stopping: stopping.signal, secure: options.identity !== undefined };
  const partitions = new PartitionTable({
    registry,
    checkpoints: new Checkpoints(writer, kept.positions),
    writer,
    clock,
    goneAfterMs: unhealthyAfterMs,
    kept,
  });
  const keptPipelines = new KeptPipelines(registry, writer, kept.given);
  const isWanted = (component: string, instance: string): boolean =>
    registry.spec === undefined || registry.desire(component, instance) !== "absent";
  const admission = await admissionOf(options, { writer, clock, kept, isWanted, record });
  const identity = admission?.identity;
  if (options.identity !== undefined)
    void warnBeforeExpiry(options.identity.authority, { clock, log }, stopping.signal);
  const replays = new Replays({ pipeline: options.pipeline, registry, clock, log, record, identity });
  const streams = eventStreamService(() => replays.host);
  const pipeline = (): PipelineRecord => partitions.annotate(registry.pipeline());
  const services = {
    "flowctl.registry.v1.ComponentRegistry": registryService(context, {
      registry,
      partitions,
      replays,
      writer,
      heartbeatIntervalMs: options.heartbeatIntervalMs ?? 10_000,
      joins: admission?.joins,
    }),
    "flowctl.control.v1.PipelineControl": controlService(context, {
      registry,
      pipeline,
      events,
      writer,
      report,
      kept: keptPipelines,
      replays,
      access: admission?.access,
      sessions: admission?.sessions,
      now: () => clock.now(),
      settled: async (instanceIds) => {
        const enough = new AbortController();
        const late = clock.sleep(SETTLE_MS, enough.signal).catch(() => undefined);
        await Promise.race([supervision?.settled(instanceIds), late]);
        enough.abort();
      },
    }),
    "flowctl.stream.v1.EventStream": streams.implementation,
  };
  const grpc = await startGrpcServer(options.grpcListen, services, admission);
  const http = await startHttpServer(options.httpListen, {
    metrics: createMetrics(() => registry.pipeline()),
    pipeline,
    events: (after) => events.after(after),
    ready: () => !stopping.signal.aborted,
    gate: admission && new HttpGate(admission.access, admission.sessions),
    protectMetrics: options.protectMetrics,
  }).catch(async (error: unknown) => {
    await grpc.close();
    throw error;
  });
  const prober = createHttpHealthProbe(probeTimeoutMs);
  const background: Promise<void>[] = [];
  const run = (work: Promise<void>): void => {
    const defect = { code: "control-plane/internal", kind: "internal", message: "the control plane crashed" } as const;
    background.push(work.catch((error: unknown) => fail(FlowctlError.wrap(error, defect))));
  };
  run(followChanges(registry, [() => partitions.refreshAll(), () => keptPipelines.refresh()], stopping.signal));
  const pollIntervalMs = options.pollIntervalMs ?? 5_000;
  run(monitorHealth({ registry, clock, probe: prober.probe, pollIntervalMs }, stopping.signal));
  log.info("control plane ready", { pipeline: options.pipeline, grpc: grpc.address, http: http.address });

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopping.abort(closed());
    streams.stop();
    await Promise.all([grpc.close(), http.close(), ...background]);
    prober.close();
    await writer.flush();
    await store.close();
  };
  return {
    grpcAddress: grpc.address,
    httpAddress: http.address,
    report,
    supervise: (driver) => {
      supervision = supervise(
        { driver, registry, pipeline: options.pipeline, clock, log, unhealthyAfterMs },
        supervising,
      );
      run(supervision.ended);
    },
    halt: async () => {
      halted.abort(closed());
      await supervision?.ended;
    },
    failure,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

interface Admission extends GrpcAdmission {
  readonly joins: Joins;
  readonly access: Access;
  readonly sessions: Sessions;
}

interface AdmissionParts extends Pick<JoinsOptions, "writer" | "isWanted"> {
  readonly clock: Clock;
  readonly kept: KeptState;
  readonly record: (event: NewEvent) => void;
}

/** Who the control plane is, and who may call it. Its own certificate is made at each start and never leaves this process. */
async function admissionOf(
  { identity, pipeline }: Pick<ControlPlaneOptions, "identity" | "pipeline">,
  { kept, record, ...parts }: AdmissionParts,
): Promise<Admission | undefined> {
  if (identity === undefined) return undefined;
  const { clock, writer } = parts;
  const joins = new Joins({ ...identity, ...parts, kept: kept.joins });
  const access = await Access.open({ identity, writer, clock, record, kept: kept.grants });
  const sessions = new Sessions({ clock, isHolder: (serial) => access.isHolder(serial) });
  const name = { role: "control-plane", pipeline } as const;
  const own = identityOf(identity.authority, await identity.authority.issue(name));
  return {
    ...{ joins, access, sessions, clock },
    identity: changingIdentity(name, own),
    require: (peer) => (peer.name.role === "component" ? joins.require(peer) : access.require(peer)),
    follow: (peer, onRefused) => access.follow(peer, onRefused),
  };
}

function closed(): FlowctlError {
  return new FlowctlError({ code: "control-plane/closed", kind: "cancelled", message: "closed" });
}

/** Lets what sources read, and what is known to work, follow from whatever becomes of the instances. */
async function followChanges(
  registry: Registry,
  followers: readonly (() => void)[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const seen = registry.changes.version;
    for (const follow of followers) follow();
    await registry.changes.changed(seen, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** An event as a line for people. */
function inWords({ type, instanceId = "", message, from, to }: NewEvent): string {
  const subject = instanceId === "" ? type : instanceId;
  if (to === undefined) return `${subject}: ${message}`;
  return `${subject}: ${from} → ${to}${message === "" ? "" : ` (${message})`}`;
}

function loggable({ type, componentId, instanceId }: NewEvent): Readonly<Record<string, unknown>> {
  return {
    event: type,
    ...(componentId ? { component: componentId } : {}),
    ...(instanceId ? { instance: instanceId } : {}),
  };
}
