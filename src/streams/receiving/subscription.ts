import type { Client } from "@grpc/grpc-js";
import { backoffDelay } from "../../foundation/backoff.ts";
import type { FlowctlError } from "../../foundation/errors.ts";
import type { Logger } from "../../foundation/logger.ts";
import type { TlsIdentity } from "../../identity/tls-identity.ts";
import { type Arrival, lastOf, type Window } from "./ack-tracker.ts";
import { UnfinishedEvents } from "./unfinished-events.ts";
import { dial, nameOf, type Subscriber, type UpstreamPeer, UpstreamStream } from "./upstream-stream.ts";

/** What one subscription reports. */
export interface SubscriptionHandlers {
  /**
   * At least one event came. The stream shows them, until they are taken back by `retract`, or acknowledged.
   *
   * @param bytes Size of all of them together.
   */
  events(stream: UpstreamStream, arrival: Arrival, bytes: number): void;
  /** Whatever `events` has given and nobody has taken is taken back and returned: it will be sent again, or to others. */
  retract(): readonly Arrival[];
  /** Something about `phase` changed. */
  changed(): void;
}

/**
 * Where a subscription stands. `connecting` → `open` → `waiting` (broken; a new attempt is due) → `connecting` …,
 * until `ended` (the upstream instance has ended for good) or `closed` (this side left).
 */
export type SubscriptionPhase =
  | { readonly name: "connecting"; readonly stream: UpstreamStream; readonly attempt: number }
  | { readonly name: "open"; readonly stream: UpstreamStream; readonly attempt: number }
  | { readonly name: "waiting"; readonly attempt: number; readonly timer: NodeJS.Timeout }
  | { readonly name: "leaving"; readonly stream: UpstreamStream }
  | { readonly name: "ended" }
  | { readonly name: "closed" };

/** A stream that was open for so long, in milliseconds, was no vain attempt, also where nothing came. */
const HELD = 5_000;

/**
 * The lasting link to one upstream instance: one stream after the other, redialled with backoff until the upstream ends
 * or this side leaves. Events that are still being worked on when a stream breaks are recognised by their id when they
 * arrive again, and are not worked on twice.
 */
export class Subscription {
  readonly upstream: UpstreamPeer;
  private readonly who: Subscriber;
  private readonly window: Window;
  private readonly handlers: SubscriptionHandlers;
  private readonly log: Logger;
  /** The input is no more in the file, so that its end is wanted. */
  drains = false;
  private address: string;
  private client: Client | undefined;
  /** What `client` was made with. */
  private shown: TlsIdentity | undefined;
  private phase: SubscriptionPhase = { name: "closed" };
  private readonly unfinished: UnfinishedEvents;
  private lastError = "";
  /** It has said that it is being stopped, and has not been there since: that it does not answer is nothing to warn of. */
  private hasStopped = false;
  /** Whether this stream has brought any event. */
  private hasBrought = false;
  /** When this stream was opened, by `performance.now()`. */
  private openedAt: number | undefined;

  constructor(
    upstream: UpstreamPeer,
    address: string,
    who: Subscriber,
    window: Window,
    handlers: SubscriptionHandlers,
    log: Logger,
  ) {
    this.upstream = upstream;
    this.address = address;
    this.who = who;
    this.window = window;
    this.handlers = handlers;
    this.log = log;
    this.unfinished = new UnfinishedEvents(window.maxEvents);
    this.connect(1);
  }

  get ended(): boolean {
    return this.phase.name === "ended";
  }

  /** Whether nothing more comes and every acknowledgement was seen by the other side. */
  get over(): boolean {
    return this.phase.name === "ended" || this.phase.name === "closed";
  }

  /** Received and not acknowledged. */
  get inFlight(): number {
    const { phase } = this;
    return phase.name === "open" || phase.name === "leaving" ? phase.stream.inFlight : 0;
  }

  /** The instance is now somewhere else: dial there. */
  moveTo(address: string): void {
    if (address === this.address || this.over || this.phase.name === "leaving") return;
    this.address = address;
    this.hasStopped = false;
    this.dropClient();
    if (this.phase.name === "waiting") clearTimeout(this.phase.timer);
    else if (this.phase.name === "connecting" || this.phase.name === "open") {
      const { stream } = this.phase;
      // Out of this phase first: the end of the stream must not be taken for a break, after which it would dial twice.
      this.phase = { name: "closed" };
      this.breakOff(stream);
    }
    this.connect(1);
  }

  /** Leaves: acknowledges what is done, and lets the rest go to others. */
  leave(): void {
    if (this.phase.name === "open") {
      const { stream } = this.phase;
      this.move({ name: "leaving", stream });
      this.handlers.retract();
      stream.close();
      // Nothing has come by a stream that is not open, so that there is nothing to say goodbye for.
    } else if (this.phase.name !== "leaving") this.abort();
  }

  /** Ends at once. */
  abort(): void {
    const { phase } = this;
    if (this.over) return;
    if (phase.name === "waiting") clearTimeout(phase.timer);
    // Out of this phase first: the end of the stream must not be taken for a break, after which it would dial again.
    this.finish({ name: "closed" });
    this.handlers.retract();
    if (phase.name === "open" || phase.name === "connecting" || phase.name === "leaving") phase.stream.abort();
  }

  private connect(attempt: number): void {
    const { identity, pipeline } = this.who;
    // No stream is open by now. A connection that was made with a certificate which has been renewed may not be good for another one.
    if (identity?.current() !== this.shown) this.dropClient();
    this.shown = identity?.current();
    this.client ??= dial(this.address, nameOf(this.upstream, pipeline), identity);
    // The handlers run only after the constructor has returned.
    const stream: UpstreamStream = new UpstreamStream(this.client, this.address, this.upstream, this.who, this.window, {
      opened: () => {
        if (this.phase.name === "connecting" && this.phase.stream === stream) {
          this.lastError = "";
          this.hasStopped = false;
          this.openedAt = performance.now();
          this.log.debug("connected to upstream", { upstream: this.upstream.instanceId, address: this.address });
          this.move({ name: "open", stream, attempt });
        }
      },
      events: (arrival, bytes) => this.received(stream, arrival, bytes),
      ended: (drained) => {
        // It has not heard that the input is wanted again, or this side has not heard yet that it is not.
        if (drained && !this.drains) return stream.abort();
        this.log.debug("upstream has completed", { upstream: this.upstream.instanceId });
        this.finish({ name: "ended" });
        stream.close();
      },
      closed: (error) => this.streamClosed(stream, error),
    });
    this.unfinished.restart();
    this.hasBrought = false;
    this.openedAt = undefined;
    this.move({ name: "connecting", stream, attempt });
  }

  private received(stream: UpstreamStream, arrival: Arrival, bytes: number): void {
    if (this.phase.name !== "open" || this.phase.stream !== stream) return;
    this.hasBrought = true;
    if (this.unfinished.isEmpty) this.handlers.events(stream, arrival, bytes);
    else
      for (const [fresh, size] of this.unfinished.freshOf(stream, arrival)) this.handlers.events(stream, fresh, size);
  }

  private streamClosed(stream: UpstreamStream, error: FlowctlError | undefined): void {
    const phase = this.phase;
    if (phase.name === "leaving" && phase.stream === stream) {
      this.finish({ name: "closed" });
      return;
    }
    if ((phase.name !== "open" && phase.name !== "connecting") || phase.stream !== stream) return;
    // A peer that opens a stream and breaks it at once, again and again, is not dialled faster than one that is not there.
    const held = this.openedAt !== undefined && performance.now() - this.openedAt >= HELD;
    const attempt = this.hasBrought || held ? 0 : phase.attempt;
    if (error !== undefined && error.code !== this.lastError) {
      this.lastError = error.code;
      if (error.code === "stream/stopping") this.hasStopped = true;
      const isExpected =
        error.code === "stream/not-ready" ||
        error.code === "identity/expired" ||
        (this.hasStopped && error.kind === "unavailable");
      const tell = isExpected ? this.log.debug : this.log.warn;
      tell("lost the connection to upstream; reconnecting", {
        upstream: this.upstream.instanceId,
        address: this.address,
        code: error.code,
        reason: error.message,
      });
    }
    this.breakOff(stream);
    // A name that was looked up may be another instance's by now, as when two containers swap their addresses: a connection that holds
    // would stay with the wrong one. Whoever does not open a stream may be that one, save who only asks for patience.
    const mayBeAnother = !stream.opened || error?.code === "stream/wrong-upstream";
    if (mayBeAnother && error?.code !== "stream/not-ready") this.dropClient();
    const delay = backoffDelay(attempt + 1, { initialMs: 50, maxMs: 1_000 });
    const timer = setTimeout(() => this.connect(attempt + 1), delay);
    this.move({ name: "waiting", attempt: attempt + 1, timer });
  }

  /**
   * Forgets a stream without forgetting its unfinished events. What became done since the stream before that broke is kept
   * until a stream was open that could have brought it again.
   */
  private breakOff(stream: UpstreamStream): void {
    if (stream.opened) this.unfinished.forgetDone();
    const untaken = sequencesOf(this.handlers.retract());
    this.unfinished.keep(stream.unacknowledged().filter(({ sequence }) => !untaken.has(sequence)));
    stream.abort();
    this.handlers.changed();
  }

  private finish(phase: { readonly name: "ended" } | { readonly name: "closed" }): void {
    this.move(phase);
    this.unfinished.forgetAll();
    if (phase.name === "closed") this.dropClient();
  }

  /** Frees the connection. Called once nothing needs it any more. */
  release(): void {
    this.dropClient();
  }

  private dropClient(): void {
    this.client?.close();
    this.client = undefined;
  }

  private move(phase: SubscriptionPhase): void {
    this.phase = phase;
    this.handlers.changed();
  }
}

function sequencesOf(arrivals: readonly Arrival[]): ReadonlySet<number> {
  const sequences = new Set<number>();
  for (const arrival of arrivals)
    for (let sequence = arrival.first; sequence <= lastOf(arrival); sequence++) sequences.add(sequence);
  return sequences;
}
