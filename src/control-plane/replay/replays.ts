import type { Clock } from "../../foundation/clock.ts";
import { counted } from "../../foundation/counted.ts";
import type { Logger } from "../../foundation/logger.ts";
import type { IdentitySource } from "../../identity/tls-identity.ts";
import type { ReplayAnswer, ReplayMessage } from "../../protocol/control-codec.ts";
import type { ComponentRecord, Upstream } from "../../protocol/records.ts";
import type { StreamHost } from "../../streams/sending/event-stream-server.ts";
import type { NewEvent } from "../pipeline-events.ts";
import type { Registry } from "../registry.ts";
import { Replay } from "./replay.ts";
import { cannotReplay, componentNotRunning, notAReplay, replayFailed, replayUnderWay } from "./replay-errors.ts";

export interface ReplaysOptions {
  readonly pipeline: string;
  readonly registry: Registry;
  readonly clock: Pick<Clock, "now">;
  readonly log: Logger;
  readonly record: (event: NewEvent) => void;
  /** Who the control plane is, where the pipeline has an identity. */
  readonly identity?: IdentitySource | undefined;
}

/**
 * Sends dead letters again. For as long as a client feeds a replay its component has one more upstream, which the control plane
 * serves itself: nothing is started, the pipeline stays as it is, and nothing is left when the client, the component or the
 * control plane is killed. One replay at a time.
 */
export class Replays {
  readonly #options: ReplaysOptions;
  #current: Replay | undefined;

  constructor(options: ReplaysOptions) {
    this.#options = options;
  }

  /** Whose streams the control plane serves now. */
  get host(): StreamHost | undefined {
    const { pipeline, log, identity, clock } = this.#options;
    const replay = this.#current;
    if (replay === undefined) return undefined;
    const { id: componentId, instanceId, publisher } = replay;
    return { pipeline, componentId, instanceId, publisher, log, identity, clock };
  }

  /** What a component has above it besides its inputs. @param address by which it reaches the control plane. */
  upstreamsOf(componentId: string, address: string): readonly Upstream[] {
    const replay = this.#current;
    if (replay?.target !== componentId) return [];
    const instances = [{ instanceId: replay.instanceId, address, completed: false, controlPlane: true as const }];
    const { id } = replay;
    return [{ componentId: id, types: [], instances, completed: false, deadLetters: false, desiredInstances: 1 }];
  }

  /** One replay, as ReplayEvents describes it. Throws what replay-errors.ts has. */
  async *run(requests: AsyncIterable<ReplayMessage>, signal: AbortSignal): AsyncGenerator<ReplayAnswer> {
    const { registry, clock, record } = this.#options;
    const messages = requests[Symbol.asyncIterator]();
    const first = await messages.next();
    if (first.done === true || first.value.componentId === "")
      throw notAReplay("the first request must name the component");
    const { componentId, events } = first.value;
    this.#requireTarget(componentId);
    const id = `${componentId}-replay-${clock.now().toString(36)}`;
    const { partitionBy = "" } = registry.spec?.components.find((one) => one.id === componentId) ?? {};
    const replay = new Replay(id, componentId, partitionBy);
    const over = new AbortController();
    const inner = AbortSignal.any([signal, over.signal]);
    let failure: { readonly error: unknown } | undefined;
    this.#current = replay;
    try {
      record({ type: "replay.started", componentId, message: `dead letters are sent again, as ${id}` });
      registry.topologyChanges(componentId).notify();
      void this.#tellChanges(replay, inner);
      void replay.send(eventsOf(events, messages), inner).catch((error: unknown) => {
        failure = { error };
        replay.changes.notify();
      });
      yield { upstreamId: id, acknowledged: [] };
      while (!signal.aborted) {
        const seen = replay.changes.version;
        const acknowledged = replay.takeAcknowledged();
        if (acknowledged.length > 0) {
          yield { upstreamId: "", acknowledged };
          continue;
        }
        if (replay.isOver) return;
        if (failure !== undefined) throw failure.error;
        this.#requireGoingOn(replay);
        await replay.changes.changed(seen, signal);
      }
    } finally {
      this.#current = undefined;
      over.abort();
      const how = replay.isOver ? "complete" : "broken off";
      record({
        type: "replay.ended",
        componentId,
        message: `${id} is ${how}: ${counted(replay.settled, "event")} acknowledged`,
      });
      registry.topologyChanges(componentId).notify();
      await replay.publisher.close();
    }
  }

  /** Throws where no replay to the component can begin. */
  #requireTarget(componentId: string): void {
    const { pipeline } = this.#options;
    const component = this.#component(componentId);
    if (component === undefined || component.type === "source")
      throw cannotReplay(componentId, pipeline, component !== undefined);
    if (this.#current !== undefined) throw replayUnderWay(this.#current.target);
    // One that is just being started again after a crash takes the events later.
    const isUp = component.instances.some(({ state }) => !["stopping", "completed", "failed"].includes(state));
    if (!isUp) throw componentNotRunning(componentId, pipeline);
  }

  /** The component, unless the pipeline has none, or one that is leaving it. */
  #component(componentId: string): ComponentRecord | undefined {
    const { registry } = this.#options;
    const isLeaving = registry.spec?.components.some(({ id, leaving }) => id === componentId && leaving === true);
    return isLeaving ? undefined : registry.components().find(({ id }) => id === componentId);
  }

  /** Throws once the component will not acknowledge everything: it leaves the pipeline, is stopped, or has ended. */
  #requireGoingOn({ target }: Replay): void {
    const { pipeline } = this.#options;
    const component = this.#component(target);
    if (component === undefined) throw cannotReplay(target, pipeline, false);
    const { instances } = component;
    if (instances.length > 0 && instances.every(({ desiredStopped }) => desiredStopped)) {
      throw replayFailed(target, "was stopped", "");
    }
    const [ended] = instances;
    if (ended === undefined || !instances.every(({ state }) => state === "completed" || state === "failed")) return;
    throw replayFailed(target, ended.state === "failed" ? "failed" : "completed", ended.reason);
  }

  async #tellChanges(replay: Replay, signal: AbortSignal): Promise<void> {
    const { changes } = this.#options.registry;
    while (!signal.aborted) {
      await changes.changed(changes.version, signal).catch(() => undefined);
      replay.changes.notify();
    }
  }
}

async function* eventsOf(
  first: readonly Uint8Array[],
  messages: AsyncIterator<ReplayMessage>,
): AsyncGenerator<Uint8Array> {
  yield* first;
  for (let next = await messages.next(); next.done !== true; next = await messages.next()) yield* next.value.events;
}
