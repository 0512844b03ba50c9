import type { ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { type Clock, cancelled } from "../../../foundation/clock.ts";
import { FlowctlError } from "../../../foundation/errors.ts";
import { linkedSignal } from "../../../foundation/linked-signal.ts";
import type { Logger } from "../../../foundation/logger.ts";
import type { IdentityFolder } from "../../../identity/identity-folder.ts";
import type { Component } from "../../../pipeline/pipeline.ts";
import { type Broadcast, createBroadcast } from "../../broadcast.ts";
import type { DriverEvent } from "../../driver.ts";
import { type GrantedValues, hasSecretValues, secretsRemoved } from "../../grants.ts";
import { instanceId } from "../../identity.ts";
import type { PipelinePaths } from "../home/paths.ts";
import type { LogCollector } from "../logs/log-collector.ts";
import { leaderOf } from "../observe.ts";
import type { DesiredInstance, InstanceChange, ObservedInstance } from "./instance-change.ts";
import {
  hasSecrets,
  removeInstanceFiles,
  removeSecrets,
  trustedBy,
  writeInstanceFiles,
  writeSecrets,
} from "./instance-files.ts";
import {
  type ComponentSpec,
  type InstanceRecord,
  type RunState,
  readInstanceRecords,
  removeInstanceRecord,
  UNKNOWN_EXIT_CODE,
  writeInstanceRecord,
} from "./instance-record.ts";
import { createKeyedMutex } from "./keyed-mutex.ts";
import { launchInstance } from "./launch-instance.ts";
import { PortReservations } from "./port-allocation.ts";
import { isAlive, markedProcesses, type ProcessIdentity } from "./process-identity.ts";
import { endGroup, endRestOfGroup, sweep } from "./termination.ts";

export interface EngineOptions {
  readonly paths: PipelinePaths;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the instances of a component inherit. */
  inherited(component: Component): Readonly<Record<string, string>>;
  /** `host:port` of the control plane that instances are told; absent where none are started, only ended. */
  readonly controlPlane?: string;
  /** What makes the certificates that instances join with; absent where everybody speaks in the clear. */
  readonly identity?: IdentityFolder | undefined;
  /** Told when output of an instance is complete, and when it is removed. */
  readonly logs: Pick<LogCollector, "flush" | "forget">;
}

/** What one change of a component instance needs besides the change itself. */
export interface EngineContext {
  /** Values of what the component is granted; for create and replace, and to start what has its secrets removed. */
  readonly values?: GrantedValues;
  readonly signal: AbortSignal;
  /** End at once instead of within the grace period. */
  readonly force: boolean;
  /** Not a person but a restart policy asks: what somebody removed meanwhile is left alone, without error. */
  readonly byPolicy?: boolean;
}

/**
 * Runs the component instances of one pipeline as child processes, or watches those that a former engine started.
 * Holds no policy: what exits stays exited until a change starts it. Only one may exist per pipeline (the lock).
 */
export interface Engine {
  /**
   * Takes over what is there: adopts instances that live, marks as exited those that ended unseen, ends processes that
   * belong to no instance any more. Call once, before anything else; listeners hear of what ended.
   */
  recover(): Promise<void>;
  apply(change: InstanceChange, context: EngineContext): Promise<void>;
  /** What happens from the call on, or from `since` (Unix milliseconds) in the recent past. Ends when the signal fires. */
  events(signal: AbortSignal, since?: number): AsyncIterable<DriverEvent>;
  /** Instances that have not ended, by a change that was asked for or by themselves. */
  running(): readonly InstanceRecord[];
  /** Ends every instance, all at once, and keeps their records. Changes under way are broken off, and none begins any more. */
  stopAll(context: Pick<EngineContext, "signal" | "force">): Promise<void>;
  /** Records how the component's own health check came out. */
  setHealth(instance: string, health: "healthy" | "unhealthy"): void;
  /** Breaks off changes that are under way, so that none is made when it resolves, and stops watching; what runs goes on. */
  close(): Promise<void>;
}

function stopping(pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "process/supervisor-stopping",
    kind: "unavailable",
    message: `the supervisor of ${pipeline} is stopping, so that nothing is started any more`,
    fix: `Run \`flowctl up -d -p ${pipeline}\` to start it again`,
  });
}

/** Whether what is recorded is still the very run that was observed, and not one that was made in its place. */
function isRunOf({ process: run }: InstanceRecord, observed: ObservedInstance | undefined): boolean {
  if (observed === undefined) return false;
  return run.status === "running" ? String(run.identity.pid) === observed.ref : observed.ref === "";
}

/** One instance as the engine knows it. The record is what is on disk, or will be as soon as it is written. */
interface Slot {
  record: InstanceRecord;
  /** Resolves when what runs now has ended and that is recorded. */
  ended: Promise<void>;
  stopWatching: () => void;
}

const ADOPTED_POLL_MS = 200;
/** Events of the recent past, for listeners that looked before they began to listen. */
const EVENTS_REMEMBERED = 1_000;

export function createEngine(options: EngineOptions): Engine {
  const { paths, clock, log } = options;
  const slots = new Map<string, Slot>();
  const mutex = createKeyedMutex();
  const writes = createKeyedMutex();
  const ports = new PortReservations();
  const broadcast: Broadcast<DriverEvent> = createBroadcast(EVENTS_REMEMBERED);
  const never = new AbortController().signal;
  /** Fires when nothing may be started any more: nobody would be there to end it. */
  const closing = new AbortController();

  const save = async (slot: Slot, change: Partial<InstanceRecord>): Promise<void> => {
    slot.record = { ...slot.record, ...change };
    const { instance } = slot.record;
    await writes(instance, async () => {
      // Removed meanwhile: a late write must not bring it back.
      if (slots.get(instance) === slot) await writeInstanceRecord(paths, slot.record);
    });
  };

  /** Returns, instead of throwing, why it could not be written: what is to end ends also on a full disk. */
  const trySave = async (slot: Slot, change: Partial<InstanceRecord>): Promise<unknown> => {
    try {
      await save(slot, change);
      return undefined;
    } catch (error) {
      log.error("cannot record the state of an instance", { instance: slot.record.instance, err: error });
      return error;
    }
  };

  const freshPorts = async (): Promise<InstanceRecord["ports"]> =>
    mutex(" ports", async () => {
      const taken = new Set([...slots.values()].flatMap(({ record }) => [record.ports.listen, record.ports.health]));
      return { listen: await ports.allocate(taken), health: await ports.allocate(taken) };
    });

  /** Ends whatever else carries the name of an instance: a former process of it, or one that left its group. */
  const endStray = (instance: string, context: Pick<EngineContext, "signal">): Promise<void> =>
    sweep({ runId: paths.runId, clock, signal: context.signal, only: (process) => process.instance === instance });

  /** The leader has ended only just now: what is left of its group, and what left it, go with it, as in a container. */
  const onEnd = async (slot: Slot, identity: ProcessIdentity, exitCode: number): Promise<void> => {
    slot.stopWatching();
    const { instance } = slot.record;
    try {
      await endRestOfGroup(identity, { runId: paths.runId, clock, signal: never });
      await endStray(instance, { signal: never });
    } catch (error) {
      log.error("cannot stop the remaining processes of an instance", { instance, err: error });
    }
    await recordEnd(slot, exitCode);
  };

  const recordEnd = async (slot: Slot, exitCode: number): Promise<void> => {
    const { instance, key } = slot.record;
    const finishedAt = clock.now();
    options.logs.flush(instance, true);
    await trySave(slot, { process: { status: "exited", exitCode, finishedAt } });
    log.info("instance exited", { instance, exitCode, asked: slot.record.desired === "stopped" });
    broadcast.emit({ type: "exited", key, time: finishedAt, exitCode, oomKilled: false, willRestart: false });
  };

  const failed = (instance: string) => (error: unknown) =>
    log.error("cannot record the exit of an instance", { instance, err: error });

  const watchChild = (slot: Slot, child: ChildProcess, identity: ProcessIdentity): void => {
    slot.stopWatching = () => undefined;
    child.on("error", (error) => log.warn("instance failed", { instance: slot.record.instance, err: error }));
    slot.ended = new Promise<number>((resolve) => {
      child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    })
      .then((exitCode) => onEnd(slot, identity, exitCode))
      .catch(failed(slot.record.instance));
  };

  /** Whose child it is not cannot be waited for, only looked at. */
  const watchAdopted = (slot: Slot, identity: ProcessIdentity): void => {
    slot.ended = new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (isAlive(identity)) return;
        clearInterval(timer);
        resolve();
      }, ADOPTED_POLL_MS);
      slot.stopWatching = () => clearInterval(timer);
    })
      .then(() => onEnd(slot, identity, UNKNOWN_EXIT_CODE))
      .catch(failed(slot.record.instance));
  };

  const launch = async (slot: Slot, restarts: number): Promise<void> => {
    const { listen, health } = slot.record.ports;
    const controlPlane = options.controlPlane ?? "";
    const free = (await ports.reserve(listen)) && (await ports.reserve(health));
    if (!free) await ports.release(listen, health);
    await save(slot, { desired: "running", restarts, ...(free ? {} : { ports: await freshPorts() }) });
    if (closing.signal.aborted) throw cancelled(closing.signal);
    const { child, identity } = await launchInstance(slot.record, {
      paths,
      inherited: options.inherited,
      controlPlane,
      identity: options.identity,
    });
    watchChild(slot, child, identity);
    const startedAt = clock.now();
    const run: RunState = { status: "running", identity, startedAt, controlPlane };
    broadcast.emit({ type: "started", key: slot.record.key, time: startedAt });
    log.info("instance started", { instance: slot.record.instance, pid: identity.pid });
    await save(slot, { process: run });
  };

  const end = async (
    slot: Slot,
    context: Omit<EngineContext, "values">,
    desired: InstanceRecord["desired"] | "removed" = "stopped",
  ): Promise<void> => {
    const { process: run, spec, instance } = slot.record;
    const next = desired === "running" ? "running" : "stopped";
    const unwritten = await trySave(slot, { desired: next });
    if (run.status !== "running") {
      if (unwritten !== undefined && desired !== "removed") throw unwritten;
      return;
    }
    const graceMs = context.force ? 0 : spec.component.stopGracePeriodMs;
    await endGroup(run.identity, { runId: paths.runId, graceMs, clock, signal: context.signal });
    await slot.ended;
    log.debug("instance stopped", { instance });
    if (unwritten !== undefined && desired !== "removed") await save(slot, { desired: next });
  };

  /** Ends it, and takes its secrets away with it. */
  const stop = async (slot: Slot, context: Omit<EngineContext, "values">): Promise<void> => {
    await end(slot, context);
    await removeSecrets(paths, slot.record.instance);
  };

  /** What is not running any more may have lost its secrets: they are written again where their values are given. */
  const provideSecrets = async (
    { record: { instance, spec } }: Slot,
    values: GrantedValues | undefined,
  ): Promise<void> => {
    if (hasSecretValues(spec.component, values)) return writeSecrets(paths, instance, spec.component, values);
    if (!hasSecrets(paths, instance)) throw secretsRemoved(instance, paths.pipeline);
  };

  const start = async (slot: Slot, context: EngineContext): Promise<void> => {
    const { process: run, desired, restarts, spec } = slot.record;
    const crashed = run.status !== "created" && desired === "running";
    if (run.status === "running") {
      if (isAlive(run.identity)) return;
      await slot.ended;
    }
    if (context.signal.aborted) throw cancelled(context.signal);
    await provideSecrets(slot, context.values);
    log.debug("starting", { instance: slot.record.instance, argv: spec.argv });
    await launch(slot, crashed ? restarts + 1 : restarts);
  };

  const create = async (
    resource: DesiredInstance,
    context: EngineContext,
    replaced?: ObservedInstance,
  ): Promise<void> => {
    const instance = instanceId(resource.owner, resource.index);
    const existing = slots.get(instance);
    if (existing?.record.hash === resource.hash && !isRunOf(existing.record, replaced)) {
      if (existing.record.process.status !== "created") return start(existing, context);
    }
    if (existing !== undefined) await end(existing, context);
    const spec = resource.spec as ComponentSpec;
    await writeInstanceFiles(paths, instance, spec.component, context.values);
    const record: InstanceRecord = {
      version: 1,
      instance,
      key: resource.key,
      owner: resource.owner,
      index: resource.index,
      hash: resource.hash,
      parts: resource.parts,
      spec,
      ports: existing?.record.ports ?? (await freshPorts()),
      desired: "running",
      process: { status: "created" },
      restarts: 0,
    };
    const slot: Slot = { record, ended: Promise.resolve(), stopWatching: () => undefined };
    slots.set(instance, slot);
    await launch(slot, 0);
  };

  const remove = async (observed: ObservedInstance, context: EngineContext): Promise<void> => {
    const instance = instanceId(observed.owner, observed.index);
    const slot = slots.get(instance);
    if (slot !== undefined) await end(slot, context, "removed");
    await endStray(instance, context);
    await removeInstanceFiles(paths, instance);
    if (slot === undefined) return;
    slots.delete(instance);
    await ports.release(slot.record.ports.listen, slot.record.ports.health);
    options.logs.forget(instance);
    await writes(instance, () => removeInstanceRecord(paths, instance));
    broadcast.emit({ type: "removed", key: observed.key, time: clock.now() });
  };

  const existing = (observed: ObservedInstance): Slot => {
    const slot = slots.get(instanceId(observed.owner, observed.index));
    if (slot !== undefined) return slot;
    throw new FlowctlError({
      code: "driver/no-such-resource",
      kind: "not-found",
      message: `${observed.key} does not exist in ${paths.pipeline}`,
      fix: `Create it with \`flowctl up -d -p ${paths.pipeline}\``,
    });
  };

  const carryOut = async (change: InstanceChange, context: EngineContext): Promise<void> => {
    switch (change.action) {
      case "create":
        return create(change.resource, context);
      case "replace":
        return create(change.resource, context, change.observed);
      case "start":
        return start(existing(change.observed), context);
      case "stop":
        return (change.keepSecrets === true ? end : stop)(existing(change.observed), context);
      case "restart": {
        const slot = existing(change.observed);
        const { desired } = slot.record;
        await end(slot, context, "running");
        await provideSecrets(slot, context.values);
        return launch(slot, desired === "running" ? slot.record.restarts + 1 : slot.record.restarts);
      }
      case "remove":
        return remove(change.observed, context);
    }
  };

  /** Whether it speaks to nobody of the pipeline any more: its authority was lost, and there is another one. */
  const trustsAnother = async (instance: string): Promise<boolean> => {
    const trusted = options.identity && (await trustedBy(paths, instance));
    return trusted !== undefined && trusted !== options.identity?.authority.certificate;
  };

  /** An instance that was told of an address which the control plane has no more, or of another authority, cannot find it by itself. */
  const moveIfNeeded = async (slot: Slot): Promise<void> => {
    const { process: run, instance, desired } = slot.record;
    const { controlPlane } = options;
    if (run.status !== "running" || desired === "stopped" || controlPlane === undefined) return;
    const isStranger = await trustsAnother(instance);
    if (run.controlPlane === controlPlane && !isStranger) return;
    const what = isStranger ? "the authority of the pipeline" : "the control plane address";
    log.warn(`${what} changed: restarting`, { instance, from: run.controlPlane, to: controlPlane });
    mutex(instance, async () => {
      await end(slot, { signal: never, force: false, byPolicy: true }, "running");
      await launch(slot, slot.record.restarts + 1);
    }).catch((error) => log.error("cannot restart an instance", { instance, err: error }));
  };

  return {
    async recover() {
      const marked = markedProcesses(paths.runId);
      for (const record of await readInstanceRecords(paths)) {
        const slot: Slot = { record, ended: Promise.resolve(), stopWatching: () => undefined };
        slots.set(record.instance, slot);
        const { process: run } = record;
        const recorded = run.status === "running" && isAlive(run.identity) ? run.identity : undefined;
        const unrecorded = recorded === undefined ? leaderOf(record.instance, marked) : undefined;
        const identity = recorded ?? unrecorded;
        if (identity !== undefined) {
          if (unrecorded !== undefined) {
            const { pid, birth, controlPlane = "" } = unrecorded;
            const startedAt = clock.now();
            await trySave(slot, { process: { status: "running", identity: { pid, birth }, startedAt, controlPlane } });
          }
          watchAdopted(slot, identity);
          log.info("instance adopted", { instance: record.instance, pid: identity.pid });
          await moveIfNeeded(slot);
        } else if (run.status === "running") {
          await endStray(record.instance, { signal: never });
          await recordEnd(slot, UNKNOWN_EXIT_CODE);
        }
        // Whoever stopped it may not have come so far.
        if (identity === undefined && record.desired === "stopped") await removeSecrets(paths, record.instance);
      }
      for (const { instance } of marked) {
        if (instance !== undefined && !slots.has(instance)) await endStray(instance, { signal: never });
      }
    },
    async apply(change, context) {
      const { owner, index } = "resource" in change ? change.resource : change.observed;
      const instance = instanceId(owner, index);
      await mutex(instance, async () => {
        const { signal, release } = linkedSignal(context.signal, closing.signal);
        try {
          if (signal.aborted) throw cancelled(signal);
          if (context.byPolicy === true && !slots.has(instance)) return;
          await carryOut(change, { ...context, signal });
        } finally {
          release();
        }
      });
    },
    events: (signal, since = Number.POSITIVE_INFINITY) => broadcast.listen(signal, ({ time }) => time >= since),
    running: () =>
      [...slots.values()].map(({ record }) => record).filter(({ process }) => process.status === "running"),
    async stopAll(context) {
      closing.abort(stopping(paths.pipeline));
      // What is there when its turn comes: a change under way may have put another in its place.
      const ended = await Promise.allSettled(
        [...slots.keys()].map((instance) =>
          mutex(instance, async () => {
            const slot = slots.get(instance);
            if (slot !== undefined) await stop(slot, context);
          }),
        ),
      );
      const failure = ended.find((result) => result.status === "rejected");
      if (failure !== undefined) throw failure.reason;
    },
    setHealth(instance, health) {
      const slot = slots.get(instance);
      if (slot?.record.process.status !== "running" || slot.record.process.health === health) return;
      const { key } = slot.record;
      save(slot, { process: { ...slot.record.process, health } }).catch(failed(instance));
      broadcast.emit({ type: "health", key, time: clock.now(), health });
    },
    async close() {
      closing.abort(stopping(paths.pipeline));
      await Promise.all([...slots.keys()].map((instance) => mutex(instance, async () => undefined)));
      for (const slot of slots.values()) slot.stopWatching();
      await Promise.all([...slots.keys()].map((instance) => writes(instance, async () => undefined)));
      await ports.releaseAll();
    },
  };
}
