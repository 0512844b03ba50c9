import { Client, type ClientDuplexStream, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Name } from "../../identity/names.ts";
import { channelCredentials, channelIdentityOptions } from "../../identity/tls-credentials.ts";
import type { IdentitySource } from "../../identity/tls-identity.ts";
import { clientChannelOptions } from "../../protocol/channel-options.ts";
import { fromServiceError } from "../../protocol/grpc-errors.ts";
import { type Credit, decodeResponse, encodeRequest, SUBSCRIBE_PATH } from "../../protocol/stream-codec.ts";
import { TextMemo } from "../../protocol/text-memo.ts";
import type { Limits } from "../limits.ts";
import { AckTracker, type Arrival, type Window } from "./ack-tracker.ts";
import { type Origin, type ReceivedEvent, settle } from "./received-event.ts";

/** Bytes in flight that a receiver's HTTP/2 connection allows. Only a client can set its own; 4 MiB measured best. */
const RECEIVE_WINDOW = 4 * 1024 * 1024;

export interface Subscriber {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
  /** Left out: streams are dialled in the clear. */
  readonly identity?: IdentitySource | undefined;
}

/** Whose events are received. */
export interface UpstreamPeer {
  readonly componentId: string;
  readonly instanceId: string;
  /** The control plane serves them. */
  readonly controlPlane: boolean;
}

export interface StreamHandlers {
  opened(): void;
  /** At least one event came. `views` shows them, until they are acknowledged. */
  events(arrival: Arrival, bytes: number): void;
  /** Nothing follows, and everything is acknowledged. `drained`: of this edge; else the upstream instance has ended for good. */
  ended(drained: boolean): void;
  /** The stream is over: by an error, or (undefined) after `close`. Nothing follows. */
  closed(error: FlowctlError | undefined): void;
}

/** With an identity nobody is spoken to but `meant`, whoever answers at the address. */
export function dial(address: string, meant: Name, identity?: IdentitySource): Client {
  return new Client(address, channelCredentials(identity, meant), {
    ...clientChannelOptions(),
    ...channelIdentityOptions(identity, meant),
    "grpc-node.flow_control_window": RECEIVE_WINDOW,
    "grpc.use_local_subchannel_pool": 1,
  });
}

/** Whom the certificate of an upstream instance has to name. */
export function nameOf({ componentId, instanceId, controlPlane }: UpstreamPeer, pipeline: string): Name {
  if (controlPlane) return { role: "control-plane", pipeline };
  return { role: "component", pipeline, component: componentId, instance: instanceId };
}

/**
 * One stream from one upstream instance. Checks that sequence numbers come without gaps, acknowledges the prefix of
 * what is done at most once per turn of the event loop, and renews credit as it goes.
 */
export class UpstreamStream implements Origin {
  private readonly call: ClientDuplexStream<Buffer, Buffer>;
  private readonly tracker: AckTracker;
  private readonly handlers: StreamHandlers;
  private readonly address: string;
  readonly upstream: string;
  private readonly upstreamInstance: string;
  readonly texts = new TextMemo();
  /** What arrived again on a newer stream, by the sequence number that it has on this one. */
  private readonly redeliveries = new Map<number, ReceivedEvent>();
  private flushing = false;
  private over = false;
  private end = false;
  private isOpen = false;
  private creditSequence: number;
  private creditBytes: number;
  private receivedBytes = 0;
  /** So much more credit than was given is worth a message. */
  private readonly step: Limits;

  constructor(
    client: Client,
    address: string,
    upstream: { readonly componentId: string; readonly instanceId: string },
    who: Subscriber,
    window: Window,
    handlers: StreamHandlers,
  ) {
    this.address = address;
    this.upstream = upstream.componentId;
    this.upstreamInstance = upstream.instanceId;
    this.handlers = handlers;
    const { minEvents: maxEvents, maxBytes } = window.queue ?? { ...window, minEvents: window.maxEvents };
    this.step = {
      maxEvents: Math.min(maxEvents, window.maxEvents) / 4,
      maxBytes: Math.min(maxBytes, window.maxBytes) / 4,
    };
    this.tracker = new AckTracker(window);
    this.call = client.makeBidiStreamRequest(SUBSCRIBE_PATH, same, same, new Metadata());
    this.call.on("data", (message: Buffer) => this.receive(message));
    this.call.on("error", (error: ServiceError) => this.failed(error));
    this.call.on("status", (result: { code: status }) => {
      if (result.code === status.OK) this.close_(this.end ? undefined : goneAway(address));
    });
    const credit = this.tracker.credit();
    this.creditSequence = credit.maxSequence;
    this.creditBytes = credit.maxBytes;
    this.call.write(
      encodeRequest({
        kind: "open",
        open: {
          pipeline: who.pipeline,
          group: who.componentId,
          instanceId: who.instanceId,
          types: [],
          credit,
          upstreamInstance: upstream.instanceId,
        },
      }),
    );
  }

  /** Whether the upstream has answered. */
  get opened(): boolean {
    return this.isOpen;
  }

  get inFlight(): number {
    return this.tracker.inFlight;
  }

  /** Received and not acknowledged, oldest first. */
  unacknowledged(): readonly ReceivedEvent[] {
    return [...this.tracker.unacknowledged()].flatMap((arrival) => this.views(arrival));
  }

  /** The events of an arrival, which must not be acknowledged yet. */
  views(arrival: Arrival): readonly ReceivedEvent[] {
    return this.tracker.views(arrival, this);
  }

  hold(sequence: number): void {
    this.tracker.hold(sequence);
  }

  settle(sequence: number): void {
    if (!this.tracker.settle(sequence)) return;
    if (this.redeliveries.size > 0) this.settleRedelivery(sequence);
    this.flushSoon();
  }

  settleRun(first: number, count: number): void {
    if (this.redeliveries.size > 0) for (let i = 0; i < count; i++) this.settle(first + i);
    else if (this.tracker.settleRun(first, count)) this.flushSoon();
  }

  /** Events, of so many bytes together, wait in no queue any more. */
  took(events: number, bytes: number): void {
    this.tracker.took(events, bytes);
    const credit = this.tracker.credit();
    if (this.isWorthSaying(credit) && this.isUrgent(credit)) this.flushSoon();
  }

  isDone(sequence: number): boolean {
    return this.tracker.isDone(sequence);
  }

  linkRedelivery(sequence: number, redelivery: ReceivedEvent): void {
    if (this.isDone(sequence)) settle(redelivery);
    else this.redeliveries.set(sequence, redelivery);
  }

  /**
   * Sends the last acknowledgements and says goodbye. What was received and is not acknowledged will be sent to another
   * instance. `closed` is called when the other side has confirmed, which means that it has seen the acknowledgements.
   */
  close(): void {
    if (this.over) return;
    this.flush();
    this.end = true;
    this.call.end();
  }

  /** Ends the stream at once, without goodbye. */
  abort(): void {
    this.end = true;
    this.call.cancel();
    this.close_(undefined);
  }

  private readonly flush = (): void => {
    this.flushing = false;
    // Nothing can be written after the goodbye: what became done since then is sent to others.
    if (this.over || this.end) return;
    const sequence = this.tracker.takeAck();
    const total = this.tracker.credit();
    const isDue = this.isWorthSaying(total) && (sequence !== undefined || this.isUrgent(total));
    const credit = isDue ? { credit: total } : undefined;
    if (credit !== undefined) {
      this.creditSequence = total.maxSequence;
      this.creditBytes = total.maxBytes;
    }
    if (sequence !== undefined) this.call.write(encodeRequest({ kind: "ack", sequence, ...credit }));
    else if (credit !== undefined) this.call.write(encodeRequest({ kind: "other", ...credit }));
  };

  /**
   * Whether it is so much more than what was said that it is worth a message, or a part of one; or anything, to an upstream
   * that may send nothing, while there is nothing more to be taken here.
   */
  private isWorthSaying({ maxSequence, maxBytes }: Credit): boolean {
    const { received, waiting } = this.tracker;
    if (waiting === 0 && this.creditSequence === received && maxSequence > received) return true;
    return (
      maxSequence - this.creditSequence >= this.step.maxEvents || maxBytes - this.creditBytes >= this.step.maxBytes
    );
  }

  /** Whether the upstream may soon have nothing left of what it was given: else this comes with the next acknowledgement. */
  private isUrgent({ maxSequence, maxBytes }: Credit): boolean {
    const { received } = this.tracker;
    const { receivedBytes } = this;
    return (
      this.creditSequence - received < (maxSequence - received) / 2 ||
      this.creditBytes - receivedBytes < (maxBytes - receivedBytes) / 2
    );
  }

  private flushSoon(): void {
    if (this.over || this.flushing) return;
    this.flushing = true;
    setImmediate(this.flush);
  }

  private receive(message: Buffer): void {
    if (this.over) return;
    try {
      this.tracker.restart();
      const response = decodeResponse(message, this.tracker);
      switch (response.kind) {
        case "opened":
          this.checkIdentity(response.componentId, response.instanceId);
          this.isOpen = true;
          this.handlers.opened();
          return;
        case "batch":
          this.received(message, response.firstSequence, response.bytes);
          return;
        case "end":
          if (!this.isOpen) throw broken("received the end before Opened");
          if (response.lastSequence !== this.tracker.received)
            throw broken(`the stream ended with event ${response.lastSequence}, but ${this.tracker.received} came`);
          if (this.inFlight > 0) throw broken("the stream ended before all events were acknowledged");
          this.end = true;
          this.handlers.ended(response.drained);
          return;
        case "unknown":
          return;
      }
    } catch (error) {
      this.call.cancel();
      this.close_(error instanceof FlowctlError ? error : broken(String(error)));
    }
  }

  /** The event is done, and with it what has come again in its place. */
  private settleRedelivery(sequence: number): void {
    const redelivery = this.redeliveries.get(sequence);
    if (redelivery === undefined) return;
    this.redeliveries.delete(sequence);
    settle(redelivery);
  }

  private received(message: Buffer, firstSequence: number, bytes: number): void {
    const { tracker } = this;
    if (tracker.added === 0) return;
    if (!this.isOpen) throw broken("received a batch before Opened");
    const expected = tracker.received + 1;
    if (firstSequence !== expected) throw broken(`expected event ${expected}, got ${firstSequence}`);
    this.checkCredit(bytes);
    this.receivedBytes += bytes;
    this.handlers.events(tracker.arrived(message), bytes);
  }

  /** Somebody else may have got the address of an instance that is gone. */
  private checkIdentity(componentId: string, instanceId: string): void {
    if (componentId === this.upstream && instanceId === this.upstreamInstance) return;
    throw new FlowctlError({
      code: "stream/wrong-upstream",
      kind: "conflict",
      message: `${this.address} is ${instanceId} of ${componentId}, not ${this.upstreamInstance} of ${this.upstream}`,
      fix: "give each component instance its own address: see FLOWCTL_LISTEN and FLOWCTL_ADVERTISE",
    });
  }

  /** The message that was read may bring no more than was granted; one event may be larger when nothing is in flight. */
  private checkCredit(bytes: number): void {
    const { tracker } = this;
    const events = tracker.received + tracker.added;
    if (events > this.creditSequence)
      throw broken(`sent event ${events}, but the credit ends at ${this.creditSequence}`, "stream/credit-exceeded");
    const total = this.receivedBytes + bytes;
    if (total <= this.creditBytes || (tracker.added === 1 && tracker.inFlight === 0)) return;
    throw broken(`sent ${total} bytes, but the credit is ${this.creditBytes}`, "stream/credit-exceeded");
  }

  private failed(error: ServiceError): void {
    this.close_(this.end && error.code === status.CANCELLED ? undefined : fromServiceError(error, this.address));
  }

  private close_(error: FlowctlError | undefined): void {
    if (this.over) return;
    this.over = true;
    this.handlers.closed(error);
  }
}

function same(message: Buffer): Buffer {
  return message;
}

function broken(what: string, code = "stream/out-of-order"): FlowctlError {
  return new FlowctlError({
    code,
    kind: "invalid",
    message: `protocol violation by the upstream: ${what}`,
  });
}

function goneAway(address: string): FlowctlError {
  return new FlowctlError({
    code: "stream/closed",
    kind: "unavailable",
    message: `${address} closed the stream before End`,
  });
}
