import pLimit, { type LimitFunction } from "p-limit";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { DriverEvent, ObservedResource } from "../../driver.ts";
import { instanceId } from "../../identity.ts";
import { applyToExisting } from "../apply-existing.ts";
import { inspectContainer, listContainers } from "../container/containers.ts";
import type { Engine } from "../engine/engine.ts";
import { driverEvents } from "../events.ts";
import { lastStoredLine } from "../logs.ts";
import { observeContainers, observedContainer } from "../observe.ts";
import { readLabels } from "../resources/labels.ts";
import { type Addressed, isAddressable, type Order, type SeenContainer } from "./engine-access-codec.ts";

/** What the control plane of one pipeline may ask of the engine. Signals fire when it is gone, or has broken off. */
export interface EngineAccess {
  observe(signal: AbortSignal): Promise<readonly SeenContainer[]>;
  /** Rejects with `docker/not-found` where the pipeline has no such container. */
  apply(order: Order, signal: AbortSignal): Promise<void>;
  /** From now on, without end. */
  events(signal: AbortSignal): AsyncIterable<DriverEvent>;
  /** What a container logged last; empty where that is nothing. Rejects as `apply`. */
  lastLine(instance: Addressed, signal: AbortSignal): Promise<string>;
}

/** So many looks at the engine are under way at once; others wait, and more than that are refused. */
const LOOKS = 4;
const WAITING_LOOKS = 1024;
/** So many changes of one container may wait for the one that is under way. */
const WAITING_CHANGES = 4;
/** Whoever follows events needs one stream, and another one while the loss of the first is not known. */
const FOLLOWERS = 4;
/** Characters of a log line. */
const LINE_CHARACTERS = 16 * 1024;

/**
 * Works on the containers of one pipeline, and on nothing else whatever it is asked: each is found by the labels of the pipeline, and
 * these are looked at again, before anything is done with it. It creates and removes nothing.
 */
export function createEngineAccess(engine: Engine, pipeline: string): EngineAccess {
  // Paths of the engine's machine are not those of the container that this runs in.
  const away: Engine = { ...engine, local: false };
  const looks = pLimit(LOOKS);
  /** By key of the container: its changes, one at a time in the order in which they were given. */
  const changes = new Map<string, { readonly turns: LimitFunction; length: number }>();
  let followers = 0;

  const look = <T>(work: () => Promise<T>): Promise<T> => {
    if (looks.pendingCount >= WAITING_LOOKS) throw busy();
    return looks(work);
  };

  const find = async (wanted: Addressed, signal: AbortSignal): Promise<ObservedResource> => {
    for (const { Id, Labels } of await listContainers(engine, pipeline, signal)) {
      if (readLabels(Labels)?.key !== wanted.key) continue;
      const detail = await inspectContainer(engine, Id, signal);
      const labels = readLabels(detail?.Config.Labels);
      if (detail === undefined || labels?.pipeline !== pipeline || labels.key !== wanted.key) continue;
      // Which key belongs to which kind, owner and number is for the labels to say no more than for the request.
      const observed = observedContainer(detail, new Map());
      if (observed !== undefined) return { ...observed, ...wanted };
    }
    throw noContainer(wanted, pipeline);
  };

  const carryOut = async ({ action, instance, keepSecrets, force }: Order, signal: AbortSignal): Promise<void> => {
    const observed = await look(() => find(instance, signal));
    const change = { action, observed, cause: "", ...(action === "stop" ? { keepSecrets } : {}) };
    await applyToExisting(away, change, { pipeline, signal, force });
  };

  return {
    async observe(signal) {
      const all = await look(() => observeContainers(engine, pipeline, signal));
      return all.filter(isAddressable);
    },
    async apply(order, signal) {
      const { key } = order.instance;
      const queue = changes.get(key) ?? { turns: pLimit(1), length: 0 };
      if (queue.length > WAITING_CHANGES) throw busy();
      changes.set(key, queue);
      queue.length++;
      try {
        await queue.turns(() => carryOut(order, signal));
      } finally {
        queue.length--;
        if (queue.length === 0) changes.delete(key);
      }
    },
    async *events(signal) {
      if (followers >= FOLLOWERS) throw busy();
      followers++;
      try {
        for await (const event of driverEvents(away, pipeline, signal, true)) {
          if (isAddressable({ kind: event.key.slice(0, event.key.indexOf("/")) as ObservedResource["kind"] }))
            yield event;
        }
      } finally {
        followers--;
      }
    },
    async lastLine(instance, signal) {
      const line = await look(async () => lastStoredLine(engine, await find(instance, signal), signal));
      return line.slice(0, LINE_CHARACTERS);
    },
  };
}

function noContainer({ kind, owner, index }: Addressed, pipeline: string): FlowctlError {
  const name = kind === "control-plane" ? "control plane" : instanceId(owner, index);
  const message = `pipeline ${pipeline} has no container of ${name}`;
  return new FlowctlError({ code: "docker/not-found", kind: "not-found", message });
}

function busy(): FlowctlError {
  return new FlowctlError({
    code: "docker/busy",
    kind: "unavailable",
    message: "the engine access has too many requests under way",
  });
}
