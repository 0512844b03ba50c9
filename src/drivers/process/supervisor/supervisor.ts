import type { Clock } from "../../../foundation/clock.ts";
import { messageOf } from "../../../foundation/errors.ts";
import type { Logger } from "../../../foundation/logger.ts";
import { type IdentityFolder, openIdentityFolder } from "../../../identity/identity-folder.ts";
import type { Component } from "../../../pipeline/pipeline.ts";
import { type PipelinePaths, pipelinePaths } from "../home/paths.ts";
import { createEngine, type Engine } from "../instance/engine.ts";
import { startHealthchecks } from "../instance/healthcheck.ts";
import { inheritedEnvironment } from "../instance/inherited-environment.ts";
import { PortReservations } from "../instance/port-allocation.ts";
import { identify, isAlive } from "../instance/process-identity.ts";
import { startLogCollector } from "../logs/log-collector.ts";
import { engineDriver, type SupervisedEngine } from "./engine-driver.ts";
import { acquireLock } from "./single-instance-lock.ts";
import { isTicketValid, removeTicket } from "./start-ticket.ts";
import type { Ending } from "./supervisor-codec.ts";
import { LOCKED_EXIT_CODE, type SupervisorLaunch, TAKEN_AWAY_EXIT_CODE } from "./supervisor-launch.ts";
import { readSupervisorRecord, type SupervisorRecord, writeSupervisorRecord } from "./supervisor-record.ts";
import { type SupervisorHello, type SupervisorRequests, serveSupervisor } from "./supervisor-server.ts";
import { isSuccessor, startWatcher, type Watcher } from "./watcher.ts";

/** The control plane as a supervisor hosts it. */
export interface HostedControlPlane {
  /** Lets the restart policy listen to, and act on, what runs. */
  supervise(driver: SupervisedEngine): void;
  /** Leaves what runs to this process, which is ending it. */
  halt(): Promise<void>;
  close(): Promise<void>;
}

export interface ControlPlaneSettings {
  readonly pipeline: string;
  /** `host:port` each. */
  readonly grpcListen: string;
  readonly httpListen: string;
  /** Folder for its store; undefined keeps everything in memory. */
  readonly dataFolder: string | undefined;
  /** Undefined: everybody speaks in the clear. */
  readonly identity: IdentityFolder | undefined;
  /** Whether metrics are only for who has access to the pipeline. */
  readonly protectMetrics: boolean;
}

export interface SupervisorOptions {
  /** argv that starts this program again, in this process's environment. */
  readonly program: readonly string[];
  readonly launch: SupervisorLaunch;
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly log: Logger;
  startControlPlane(settings: ControlPlaneSettings): Promise<HostedControlPlane>;
  /** Ends the supervisor gracefully: everything it runs is stopped. */
  readonly signal: AbortSignal;
}

const PORT_ATTEMPTS = 5;
const RECORD_CHECK_MS = 1_000;
const LOCK_POLL_MS = 50;

/**
 * The supervisor of one pipeline: hosts its control plane, takes over what a former supervisor left, and serves
 * commands until one of them, or the signal, ends it. Resolves with the exit code of the process.
 */
export async function runSupervisor(options: SupervisorOptions): Promise<number> {
  const { launch, clock, log } = options;
  const paths = pipelinePaths(launch.home, launch.pipeline);
  const watch = (): Watcher => startWatcher({ program: options.program, environment: options.environment, log });
  // Whoever takes the place of another is watched from the beginning on: no command waits for it, to start it again.
  let watcher = isSuccessor(options.environment) ? watch() : undefined;
  const refused = await takePlace(paths, options);
  if (refused !== undefined) {
    await watcher?.end();
    return refused;
  }
  const logs = startLogCollector({ folder: paths.logs, clock, log });
  const { withheld, insecure = false } = launch.spec;
  const identity = insecure ? undefined : await openIdentity(paths, launch.pipeline, log);
  const { controlPlane, ports } = await openControlPlane(paths, options, identity);
  const inherited = ({ inheritEnvironment: everything = false }: Component): Record<string, string> =>
    inheritedEnvironment(options.environment, { everything, withheld });
  const engine = createEngine({
    paths,
    clock,
    log,
    inherited,
    controlPlane: `127.0.0.1:${ports.grpc}`,
    logs,
    identity,
  });
  await writeSupervisorRecord(paths, recordOf(launch, ports, clock));
  removeTicket(paths, launch.ticket);
  controlPlane.supervise(engineDriver(engine, paths, clock));
  await engine.recover();
  const stopHealthchecks = startHealthchecks({ engine, clock, inherited, runId: paths.runId });
  const ended = createEnd(options.signal);
  let isOver: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    isOver = resolve;
  });
  const server = await serveSupervisor(paths, requestsOf(engine, ended, over, helloOf(options, ports)));
  const stopLooking = watchRecord(paths, log, () => ended.end("stop"));
  watcher ??= watch();
  watcher.served();
  log.info("supervisor ready", { pid: process.pid, ...ports });

  const instances = await ended.promise;
  await watcher.end();
  log.info("supervisor stopping", { instances });
  // Whoever asks from now on finds nobody, and starts the next supervisor, which waits for the lock.
  server.refuse();
  stopLooking();
  stopHealthchecks();
  await controlPlane.halt();
  if (instances !== "keep") {
    await engine
      .stopAll({ signal: new AbortController().signal, force: instances === "kill" })
      .catch((error) => log.error("cannot stop every instance", { err: error }));
  }
  await controlPlane.close();
  await engine.close();
  logs.close();
  isOver();
  await server.close();
  return 0;
}

/**
 * Takes the pipeline's lock. Resolves with the exit code of a supervisor that is not wanted: another one is there, or the
 * pipeline was taken away. A successor waits for a command that has the lock.
 */
async function takePlace(
  paths: PipelinePaths,
  { launch, environment, clock }: SupervisorOptions,
): Promise<number | undefined> {
  const successor = isSuccessor(environment);
  for (;;) {
    const lock = await acquireLock(paths.runId);
    if (lock === undefined && !successor) return LOCKED_EXIT_CODE;
    const record = await readSupervisorRecord(paths);
    const isWanted = successor ? record !== undefined : isTicketValid(paths, launch.ticket);
    if (!isWanted) return TAKEN_AWAY_EXIT_CODE;
    if (lock !== undefined) return undefined;
    if (record !== undefined && isAlive(record.identity)) return LOCKED_EXIT_CODE;
    await clock.sleep(LOCK_POLL_MS);
  }
}

/** Who trusts one that was damaged or lost is restarted by the engine (see `Engine.recover`). */
function openIdentity(paths: PipelinePaths, pipeline: string, log: Logger): Promise<IdentityFolder> {
  return openIdentityFolder(paths.identity, pipeline, {
    onDamaged: (error) => log.warn("making another authority", { err: error }),
  });
}

function requestsOf(engine: Engine, ended: End, over: Promise<void>, hello: SupervisorHello): SupervisorRequests {
  return {
    hello: () => hello,
    apply: ({ change, force, values }, signal) => engine.apply(change, { values, signal, force }),
    events: (since, signal) => engine.events(signal, since),
    shutdown(instances) {
      ended.end(instances);
      return over;
    },
  };
}

interface End {
  readonly promise: Promise<Ending>;
  end(instances: Ending): void;
}

function createEnd(signal: AbortSignal): End {
  let end: End["end"] = () => undefined;
  const promise = new Promise<Ending>((resolve) => {
    end = resolve;
    if (signal.aborted) resolve("stop");
    signal.addEventListener("abort", () => resolve("stop"), { once: true });
  });
  return { promise, end };
}

/** On the ports of the former supervisor where they are free, so that components find it again by themselves. */
async function openControlPlane(
  paths: PipelinePaths,
  options: SupervisorOptions,
  identity: IdentityFolder | undefined,
): Promise<{ readonly controlPlane: HostedControlPlane; readonly ports: SupervisorRecord["ports"] }> {
  const { launch, log } = options;
  const reservations = new PortReservations();
  const reserve = async ({ grpc, http }: SupervisorRecord["ports"]): Promise<boolean> =>
    (await reservations.reserve(grpc)) && (await reservations.reserve(http));
  let ports = (await readSupervisorRecord(paths))?.ports;
  for (let attempt = 1; ; attempt++) {
    if (ports === undefined || !(await reserve(ports))) {
      await reservations.releaseAll();
      ports = { grpc: await reservations.allocate(new Set()), http: await reservations.allocate(new Set()) };
    }
    try {
      const controlPlane = await options.startControlPlane({
        pipeline: launch.pipeline,
        grpcListen: `127.0.0.1:${ports.grpc}`,
        httpListen: `127.0.0.1:${ports.http}`,
        dataFolder: launch.spec.persistence ? paths.controlPlane : undefined,
        identity,
        protectMetrics: launch.spec.metrics === "token",
      });
      // From here on whoever looks sees that somebody listens.
      await reservations.releaseAll();
      return { controlPlane, ports };
    } catch (error) {
      const taken = !(await reserve(ports));
      if (!taken || attempt === PORT_ATTEMPTS) throw error;
      log.warn("a port is in use by now", { ...ports, reason: messageOf(error) });
    }
  }
}

function recordOf(launch: SupervisorLaunch, ports: SupervisorRecord["ports"], clock: Clock): SupervisorRecord {
  return {
    version: 1,
    hash: launch.hash,
    parts: launch.parts,
    spec: launch.spec,
    identity: identify(process.pid) ?? { pid: process.pid, birth: "" },
    startedAt: clock.now(),
    ports,
  };
}

/**
 * Calls back when the record was taken away or names another supervisor: the folder was removed by hand, and no command
 * would ever find what runs here.
 */
function watchRecord(paths: PipelinePaths, log: Logger, onLost: () => void): () => void {
  let misses = 0;
  const look = async (): Promise<void> => {
    const record = await readSupervisorRecord(paths);
    misses = record?.identity.pid === process.pid ? 0 : misses + 1;
    if (misses < 2) return;
    log.error("the supervisor's record is gone: stopping", { file: paths.supervisorFile });
    onLost();
  };
  const timer = setInterval(() => {
    look().catch((error) => log.warn("cannot read the supervisor's record", { err: error }));
  }, RECORD_CHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function helloOf(options: SupervisorOptions, ports: SupervisorRecord["ports"]): SupervisorHello {
  return {
    version: options.version,
    pid: process.pid,
    grpc: `127.0.0.1:${ports.grpc}`,
    http: `http://127.0.0.1:${ports.http}`,
    secure: options.launch.spec.insecure !== true,
  };
}
