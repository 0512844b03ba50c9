import type { Logger } from "../../foundation/logger.ts";
import type { InFlightAllowance, Upstream, UpstreamInstance } from "../../protocol/records.ts";
import type { Arrival, Window } from "./ack-tracker.ts";
import type { ReceivedEvent } from "./received-event.ts";
import { Subscription } from "./subscription.ts";
import type { Subscriber, UpstreamStream } from "./upstream-stream.ts";

export interface InletOptions {
  readonly who: Subscriber;
  readonly log: Logger;
  /**
   * What may be received from each upstream instance and not done. Default 16,384 events and 8 MiB, of which 1,024 events may
   * wait to be taken, or more, up to all, where as many are taken within some milliseconds.
   */
  readonly window?: Window;
}

/** Events that arrived together and were not taken yet: nobody has looked at them. */
interface Arrived {
  readonly by: Subscription;
  readonly stream: UpstreamStream;
  readonly arrival: Arrival;
  readonly bytes: number;
}

interface Source {
  readonly subscription: Subscription;
  /** The control plane has said that the instance completed. */
  completed: boolean;
  /** The input was removed from the file, so that the end on this stream is the end of the edge, not of the data. */
  drains: boolean;
  /** It drained at some time since it was dialled: an end that comes may be of then. */
  hasDrained: boolean;
}

const DEFAULT_WINDOW: Window = {
  maxEvents: 16_384,
  maxBytes: 8 * 1024 * 1024,
  queue: { minEvents: 1_024, maxEvents: 16_384, maxBytes: 8 * 1024 * 1024 },
};

/**
 * The receiving side of a component: one subscription per upstream instance, following the topology, and one queue of
 * what arrived. Credit bounds the queue: what is not done is never more than the window of each upstream instance.
 */
export class Inlet {
  private readonly options: InletOptions;
  private readonly sources = new Map<string, Source>();
  private upstreams: readonly Upstream[] = [];
  private queue: Arrived[] = [];
  private waiter: { promise: Promise<void>; resolve: () => void } | undefined;
  private stopped = false;
  private updated = false;
  private readonly usual: Window;
  private window: Window;
  private eventsIn = 0;
  private bytesIn = 0;

  constructor(options: InletOptions) {
    this.options = options;
    this.usual = options.window ?? DEFAULT_WINDOW;
    this.window = this.usual;
  }

  /**
   * What may be received and not done, per upstream instance, besides the usual window. For upstream instances that are
   * dialled from now on.
   */
  setInFlightAllowance(allowance: InFlightAllowance): void {
    this.window = {
      ...this.usual,
      maxEvents: this.usual.maxEvents + allowance.events,
      maxBytes: this.usual.maxBytes + allowance.bytes,
    };
  }

  /** Follows the topology: dials what is new, moves with what moved, leaves what is gone. */
  update(upstreams: readonly Upstream[]): void {
    if (this.stopped) return;
    this.upstreams = upstreams;
    this.updated = true;
    const seen = new Set<string>();
    for (const upstream of upstreams) {
      for (const instance of upstream.instances) {
        const key = keyOf(upstream.componentId, instance.instanceId);
        seen.add(key);
        const source = this.sources.get(key);
        // An instance that stopped has no address until its successor registers: the old one is as good as any.
        const away = instance.address === "" && !instance.completed;
        if (away) continue;
        const drains = upstream.draining === true;
        if (source !== undefined) {
          source.drains = drains;
          source.subscription.drains = drains;
          source.hasDrained ||= drains;
        }
        if (source === undefined) {
          if (!instance.completed) this.dial(key, upstream.componentId, instance, drains);
        } else if (instance.completed) {
          source.completed = true;
          if (!source.subscription.over) source.subscription.abort();
        } else if (source.completed || isOverByDraining(source)) {
          source.subscription.release();
          this.dial(key, upstream.componentId, instance, drains);
        } else source.subscription.moveTo(instance.address);
      }
    }
    for (const [key, source] of this.sources) {
      if (seen.has(key)) continue;
      source.subscription.leave();
      if (source.subscription.over) source.subscription.release();
      this.sources.delete(key);
    }
    this.wake();
  }

  /** Events that arrived together, oldest first; undefined when there are none now. */
  take(): readonly ReceivedEvent[] | undefined {
    const next = this.queue.shift();
    if (next === undefined) return undefined;
    this.eventsIn += next.arrival.count;
    this.bytesIn += next.bytes;
    next.stream.took(next.arrival.count, next.bytes);
    return next.stream.views(next.arrival);
  }

  /** Resolves when `take` has something to give, or `finished` or `stop` changed things. Never rejects. */
  ready(): Promise<void> {
    if (this.queue.length > 0 || this.stopped || this.finished) return Promise.resolve();
    if (this.waiter === undefined) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.waiter = { promise, resolve };
    }
    return this.waiter.promise;
  }

  /** Every upstream has ended for good, and everything that came was taken. */
  get finished(): boolean {
    if (!this.updated || this.queue.length > 0) return false;
    return this.upstreams.every((upstream) => upstream.completed || this.allEnded(upstream));
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  /** Takes nothing new. What arrived and was not taken is given back to the upstream when the inlet closes. */
  stop(): void {
    this.stopped = true;
    this.queue = [];
    this.wake();
  }

  /**
   * Says goodbye to every upstream, after the last acknowledgements. Resolves when all have confirmed, or at once when
   * the signal fires.
   */
  async close(signal: AbortSignal): Promise<void> {
    this.stop();
    for (const { subscription } of this.sources.values()) subscription.leave();
    while (!signal.aborted && [...this.sources.values()].some(({ subscription }) => !subscription.over)) {
      await this.nextChange(signal);
    }
    for (const { subscription } of this.sources.values()) {
      subscription.abort();
      subscription.release();
    }
  }

  /** Events and bytes that were taken, and how many arrived and are not acknowledged. */
  counters(): { readonly eventsIn: number; readonly bytesIn: number; readonly inFlight: number } {
    let inFlight = 0;
    for (const { subscription } of this.sources.values()) inFlight += subscription.inFlight;
    return { eventsIn: this.eventsIn, bytesIn: this.bytesIn, inFlight };
  }

  /** Whether all its instances have sent their end, which counts only as that of the data where nothing drained. */
  private allEnded(upstream: Upstream): boolean {
    if (upstream.desiredInstances === 0 || upstream.instances.length < upstream.desiredInstances) return false;
    return upstream.instances.every(
      (instance) => instance.completed || this.hasEnded(keyOf(upstream.componentId, instance.instanceId)),
    );
  }

  private hasEnded(key: string): boolean {
    const source = this.sources.get(key);
    if (source === undefined) return false;
    return source.subscription.ended && !isOverByDraining(source);
  }

  private dial(key: string, componentId: string, instance: UpstreamInstance, drains: boolean): void {
    const { who, log } = this.options;
    const { instanceId, address, controlPlane = false } = instance;
    const subscription: Subscription = new Subscription(
      { componentId, instanceId, controlPlane },
      address,
      who,
      this.window,
      {
        events: (stream, arrival, bytes) => this.received({ by: subscription, stream, arrival, bytes }),
        retract: () => this.retract(subscription),
        changed: () => {
          // The end of an input that is wanted again may be under way while that is said.
          const source = this.sources.get(key);
          if (source !== undefined && isOverByDraining(source) && !source.completed) {
            queueMicrotask(() => this.update(this.upstreams));
          }
          this.wake();
        },
      },
      log,
    );
    subscription.drains = drains;
    this.sources.set(key, { subscription, completed: false, drains, hasDrained: drains });
  }

  private received(arrived: Arrived): void {
    if (this.stopped) return;
    this.queue.push(arrived);
    this.wake();
  }

  private retract(from: Subscription): readonly Arrival[] {
    const untaken = this.queue.filter(({ by }) => by === from);
    if (untaken.length > 0) this.queue = this.queue.filter(({ by }) => by !== from);
    return untaken.map(({ arrival }) => arrival);
  }

  private wake(): void {
    const waiter = this.waiter;
    this.waiter = undefined;
    waiter?.resolve();
  }

  private async nextChange(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      signal.addEventListener("abort", done, { once: true });
      this.waiter = { promise: Promise.resolve(), resolve: done };
    });
  }
}

/** Whether nothing comes any more because the input drained, although it is wanted (again). */
function isOverByDraining({ hasDrained, drains, subscription }: Source): boolean {
  return hasDrained && !drains && subscription.over;
}

function keyOf(componentId: string, instanceId: string): string {
  return `${componentId}/${instanceId}`;
}
