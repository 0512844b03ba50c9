import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  credentials,
  makeClientConstructor,
  status,
} from "@grpc/grpc-js";
import type { CreditMessage, EventMessage, ReceivedResponse, SubscribeRequest } from "./messages.ts";
import type { Protocol } from "./protocol.ts";
import type { Disguise, TestIdentity } from "./test-identity.ts";
import type { ReportViolation } from "./violation.ts";
import type { Notice } from "./waiting.ts";

/** The default limit of gRPC on the size of a message; a peer that leaves it alone refuses more. */
const defaultMessageLimit = 4 * 1024 * 1024;

/** Credit that no check uses up. */
export const plenty: CreditMessage = { maxSequence: 1_000_000_000, maxBytes: 1_000_000_000_000 };

export interface DownstreamOptions {
  readonly group?: string;
  readonly instanceId?: string;
  readonly pipeline?: string;
  /** Instance that it says it means; left out: whoever answers. */
  readonly meant?: string;
  readonly credit?: CreditMessage;
  /** Acknowledge each batch as it comes. */
  readonly acknowledge?: boolean;
  /** How many of its newest events it holds back when it acknowledges; 0 when left out. */
  readonly hold?: number;
  /** Sent instead of Open. */
  readonly instead?: SubscribeRequest | Buffer;
  /** Do not dial again when the stream ends: it is what the check wants to see. */
  readonly once?: boolean;
  /** Ping the server at this interval, also while nothing flows; milliseconds. */
  readonly pingMs?: number;
  /** Whose certificate it shows in the place of its own, where there are certificates. */
  readonly shows?: Disguise;
}

interface DownstreamSurroundings {
  readonly protocol: Protocol;
  readonly notice: Notice;
  readonly violation: ReportViolation;
  /** Who is who; undefined where everybody speaks in the clear. */
  readonly identity: TestIdentity | undefined;
  /** Whether there is still somebody to dial. */
  readonly alive: () => boolean;
}

type SubscribeCall = ClientDuplexStream<SubscribeRequest | Buffer, ReceivedResponse>;
type SubscribeClient = Client & { Subscribe(): SubscribeCall };

/** What is looked for in the place of the address; the name itself is looked at as well. */
const subjectHost = "subject-1";

/** So long after a stream has ended another one is opened, in milliseconds. */
const redialMs = 150;

/**
 * An instance of a downstream component, played by the test. When its stream breaks it dials again, as a component does,
 * and takes what it had not acknowledged once more. It watches the standing obligations of whoever sends (numbering, credit,
 * size of messages, the end) and reports what breaks them. All numbers that it is given and gives count from the first
 * stream on.
 */
export class TestDownstream {
  readonly instanceId: string;
  /** What came: everything that is acknowledged, then what the present stream has brought since. */
  readonly events: EventMessage[] = [];
  /** Sizes of the events as they were encoded, in bytes; same order as `events`. */
  readonly sizes: number[] = [];
  opened: { componentId: string; instanceId: string } | undefined;
  /** Last sequence number as EndOfStream gave it; undefined before. */
  endOfStream: number | undefined;
  /** Whether EndOfStream said that only the edge has ended. */
  drained = false;
  /** How the stream ended for good; undefined while it is open, or dialled again. */
  ended: StreamEnd | undefined;
  /** How the last stream, or the last try to open one, ended. */
  lastEnd: StreamEnd | undefined;
  /** How the last stream ended that it was served on; a try that came too early, and was refused, is none. */
  lost: StreamEnd | undefined;
  /** Serial number of the certificate that the component served with when it was dialled last. */
  served: string | undefined;
  acked = 0;
  acknowledge: boolean;
  hold: number;
  readonly #address: string;
  readonly #options: DownstreamOptions & { readonly pipeline: string };
  readonly #surroundings: DownstreamSurroundings;
  readonly #client: SubscribeClient;
  #call: SubscribeCall;
  #credit: CreditMessage;
  /** Events, and bytes of them, that were acknowledged on earlier streams. */
  #base = { events: 0, bytes: 0 };
  #bytes = 0;
  #left = false;
  #redial: NodeJS.Timeout | undefined;

  constructor(
    address: string,
    options: DownstreamOptions & { readonly pipeline: string },
    surroundings: DownstreamSurroundings,
  ) {
    this.#address = address;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#credit = options.credit ?? plenty;
    this.acknowledge = options.acknowledge ?? false;
    this.hold = options.hold ?? 0;
    this.instanceId = options.instanceId ?? `${this.#group}-1`;
    const Subscriber = makeClientConstructor(surroundings.protocol.eventStream, "EventStream");
    const pings =
      options.pingMs === undefined
        ? {}
        : { "grpc.keepalive_time_ms": options.pingMs, "grpc.keepalive_permit_without_calls": 1 };
    this.#client = new Subscriber(this.#address, this.#credentials(), {
      ...channelOptions,
      ...pings,
      ...(surroundings.identity === undefined ? {} : { "grpc.ssl_target_name_override": subjectHost }),
    }) as unknown as SubscribeClient;
    this.#call = this.#dial();
  }

  get ids(): readonly string[] {
    return this.events.map((event) => event.id);
  }

  /** Ids of what the present stream has brought: after a break something may come again that was acknowledged. */
  get idsOfStream(): readonly string[] {
    return this.ids.slice(this.#base.events);
  }

  /** Whether the stream ended for good, by an error that the component answered with. */
  get refused(): boolean {
    return this.ended !== undefined && this.ended.code !== status.OK;
  }

  /** Acknowledges everything up to `sequence`, whatever was received. */
  ack(sequence: number): void {
    this.acked = Math.max(this.acked, sequence);
    this.#call.write({ ack: { sequence: sequence - this.#base.events } });
  }

  /** Acknowledges what was received, save what it holds back. */
  ackAll(): void {
    const done = this.events.length - this.hold;
    if (done > this.acked) this.ack(done);
  }

  /** Acknowledges everything up to `sequence`, and gives credit in the same request. */
  ackAndGrant(sequence: number, credit: CreditMessage): void {
    this.acked = Math.max(this.acked, sequence);
    this.#credit = credit;
    this.#call.write({ ack: { sequence: sequence - this.#base.events }, credit: this.#creditOfStream() });
  }

  nack(sequence: number): void {
    const reason = "the conformance test wants it again";
    this.#call.write({ nack: { sequence: sequence - this.#base.events, reason } });
  }

  grant(credit: CreditMessage): void {
    this.#credit = credit;
    this.#call.write({ credit: this.#creditOfStream() });
  }

  sendRaw(bytes: Buffer): void {
    this.#call.write(bytes);
  }

  /** Says goodbye: closes this side of the stream, after which it acknowledges nothing more. */
  leave(): void {
    this.#left = true;
    this.#call.end();
  }

  /** Breaks the stream from below. */
  close(): void {
    this.#left = true;
    clearTimeout(this.#redial);
    this.#call.cancel();
    this.#client.close();
  }

  get #group(): string {
    return this.#options.group ?? "below";
  }

  #credentials(): ChannelCredentials {
    const { pipeline, shows } = this.#options;
    const name = { role: "component", pipeline, component: this.#group, instance: this.instanceId } as const;
    const served = (serial: string) => {
      this.served = serial;
    };
    return this.#surroundings.identity?.dialing(name, shows, served) ?? credentials.createInsecure();
  }

  #dial(): SubscribeCall {
    const call = this.#client.Subscribe();
    const stream = { opened: false };
    call.on("data", (response: ReceivedResponse) => {
      this.#receive(response, stream);
      this.#surroundings.notice.changed();
    });
    call.on("error", () => {});
    call.on("status", ({ code, details }: StreamEnd) => this.#streamEnded({ code, details }, stream.opened));
    call.write(
      this.#options.instead ?? {
        open: {
          pipeline: this.#options.pipeline,
          group: this.#group,
          instanceId: this.instanceId,
          types: [],
          credit: this.#creditOfStream(),
          upstreamInstanceId: this.#options.meant ?? "",
        },
      },
    );
    return call;
  }

  #streamEnded(end: StreamEnd, opened: boolean): void {
    this.lastEnd = end;
    if (opened) this.lost = end;
    if (end.code === status.OK && this.endOfStream === undefined && !this.#left) {
      const text = `it ended the stream of ${this.instanceId} with OK and without EndOfStream`;
      this.#surroundings.violation("end/before-ok", text);
    }
    const isOver = this.#isOver(end, opened);
    if (isOver) this.ended ??= end;
    this.#surroundings.notice.changed();
    if (isOver) return;
    this.#redial = setTimeout(() => {
      if (this.#left) return;
      this.#beginAnew();
      this.#call = this.#dial();
    }, redialMs);
  }

  /** Whether nobody would dial again after such an end. */
  #isOver(end: StreamEnd, opened: boolean): boolean {
    if (this.#left || this.endOfStream !== undefined || !this.#surroundings.alive()) return true;
    if (this.#options.instead !== undefined) return true;
    // Before its first topology a component cannot know who is below it.
    if (!opened && end.code === status.UNAVAILABLE) return false;
    return this.#options.once ?? false;
  }

  /** What was not acknowledged comes again. */
  #beginAnew(): void {
    this.#base = { events: this.acked, bytes: this.sizes.slice(0, this.acked).reduce((sum, size) => sum + size, 0) };
    this.events.length = Math.min(this.events.length, this.acked);
    this.sizes.length = this.events.length;
    this.#bytes = this.#base.bytes;
  }

  #creditOfStream(): CreditMessage {
    return {
      maxSequence: Math.max(0, this.#credit.maxSequence - this.#base.events),
      maxBytes: Math.max(0, this.#credit.maxBytes - this.#base.bytes),
    };
  }

  #receive({ message, eventSizes, size }: ReceivedResponse, stream: { opened: boolean }): void {
    const { violation } = this.#surroundings;
    if (message.opened) {
      this.opened = message.opened;
      stream.opened = true;
    }
    if (!stream.opened) violation("publish/opened", "the first response to a subscription is not Opened");
    if (this.endOfStream !== undefined) {
      violation("end/nothing-after", message.end ? "EndOfStream came twice" : "something followed EndOfStream");
    }
    if (message.end) {
      this.drained = message.end.drained ?? false;
      this.#receiveEnd(message.end.lastSequence);
    }
    if (message.batch) this.#receiveBatch(message.batch.firstSequence, message.batch.events, eventSizes, size);
  }

  #receiveEnd(lastSequence: number): void {
    const { violation } = this.#surroundings;
    const length = this.events.length - this.#base.events;
    const acked = this.acked - this.#base.events;
    if (lastSequence !== length) {
      violation("end/nothing-after", `EndOfStream has last_sequence ${lastSequence} after ${length} events`);
    }
    if (acked < length)
      violation("end/after-acks", `EndOfStream came when ${acked} of ${length} events were acknowledged`);
    this.endOfStream = lastSequence;
  }

  #receiveBatch(first: number, events: readonly EventMessage[], sizes: readonly number[], size: number): void {
    const { violation } = this.#surroundings;
    const before = this.events.length;
    const next = before - this.#base.events + 1;
    if (first !== next) violation("publish/sequences", `a batch begins with ${first} where ${next} comes next`);
    if (size > defaultMessageLimit && events.length > 1) {
      violation("publish/message-size", `a batch of ${events.length} events is a message of ${size} bytes`);
    }
    this.events.push(...events);
    this.sizes.push(...sizes);
    this.#bytes += sizes.reduce((sum, one) => sum + one, 0);
    if (this.events.length > this.#credit.maxSequence) {
      violation(
        "publish/credit-events",
        `it sent event ${this.events.length} with a credit of ${this.#credit.maxSequence}`,
      );
    }
    const aloneAndNothingOpen = events.length === 1 && this.acked >= before;
    if (this.#bytes > this.#credit.maxBytes && !aloneAndNothingOpen) {
      violation(
        "publish/credit-bytes",
        `it sent ${this.#bytes} bytes of events with a credit of ${this.#credit.maxBytes} bytes, and not as a single event with nothing unacknowledged`,
      );
    }
    if (this.acknowledge) this.ackAll();
  }
}

/** A gRPC status. */
interface StreamEnd {
  readonly code: number;
  readonly details: string;
}

const channelOptions: ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};
