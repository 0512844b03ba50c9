import {
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  credentials,
  makeClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import type { CreditMessage, EventMessage, ReceivedResponse, SubscribeRequest } from "./messages.ts";
import type { Protocol } from "./protocol.ts";
import type { ReportViolation } from "./test-upstream.ts";
import type { Notice } from "./waiting.ts";

/** The default limit of gRPC on the size of a message; a peer that leaves it alone refuses more. */
const defaultMessageLimit = 4 * 1024 * 1024;

/** Credit that no check uses up. */
export const plenty: CreditMessage = { maxSequence: 1_000_000_000, maxBytes: 1_000_000_000_000 };

export interface DownstreamOptions {
  readonly group?: string;
  readonly instanceId?: string;
  readonly pipeline?: string;
  readonly credit?: CreditMessage;
  /** Acknowledge each batch as it comes. */
  readonly acknowledge?: boolean;
  /** How many of its newest events it holds back when it acknowledges; 0 when left out. */
  readonly hold?: number;
  /** Sent instead of Open. */
  readonly instead?: SubscribeRequest | Buffer;
}

type SubscribeClient = Client & { Subscribe(): ClientDuplexStream<SubscribeRequest | Buffer, ReceivedResponse> };

/**
 * An instance of a downstream component, played by the test: one subscription at the component. It watches the
 * standing obligations of whoever sends (numbering, credit, size of messages, the end) and reports what breaks them.
 */
export class TestDownstream {
  readonly instanceId: string;
  readonly events: EventMessage[] = [];
  /** Sizes of the events as they were encoded, in bytes; same order as `events`. */
  readonly sizes: number[] = [];
  opened: { componentId: string; instanceId: string } | undefined;
  /** Last sequence number as EndOfStream gave it; undefined before. */
  endOfStream: number | undefined;
  /** How the stream ended; undefined while it is open. */
  ended: { readonly code: number; readonly details: string } | undefined;
  acked = 0;
  acknowledge: boolean;
  hold: number;
  readonly #client: SubscribeClient;
  readonly #call: ClientDuplexStream<SubscribeRequest | Buffer, ReceivedResponse>;
  readonly #notice: Notice;
  readonly #violation: ReportViolation;
  #credit: CreditMessage;
  #bytes = 0;
  #left = false;

  constructor(
    address: string,
    options: DownstreamOptions & { readonly pipeline: string },
    protocol: Protocol,
    notice: Notice,
    violation: ReportViolation,
  ) {
    this.#notice = notice;
    this.#violation = violation;
    this.#credit = options.credit ?? plenty;
    this.acknowledge = options.acknowledge ?? false;
    this.hold = options.hold ?? 0;
    const group = options.group ?? "below";
    this.instanceId = options.instanceId ?? `${group}-1`;
    const Subscriber = makeClientConstructor(protocol.eventStream, "EventStream");
    this.#client = new Subscriber(address, credentials.createInsecure(), channelOptions) as unknown as SubscribeClient;
    this.#call = this.#client.Subscribe();
    this.#call.on("data", (response: ReceivedResponse) => {
      this.#receive(response);
      this.#notice.changed();
    });
    this.#call.on("error", () => {});
    this.#call.on("status", (ended: { code: number; details: string }) => {
      this.ended ??= { code: ended.code, details: ended.details };
      if (ended.code === status.OK && this.endOfStream === undefined && !this.#left) {
        this.#violation("end/before-ok", `it ended the stream of ${this.instanceId} with OK and without EndOfStream`);
      }
      this.#notice.changed();
    });
    this.#call.on("error", (error: ServiceError) => {
      this.ended ??= { code: error.code, details: error.details };
      this.#notice.changed();
    });
    this.#call.write(
      options.instead ?? {
        open: {
          pipeline: options.pipeline,
          group,
          instanceId: this.instanceId,
          types: [],
          credit: this.#credit,
        },
      },
    );
  }

  get ids(): readonly string[] {
    return this.events.map((event) => event.id);
  }

  /** Whether the stream ended by an error that the component answered with. */
  get refused(): boolean {
    return this.ended !== undefined && this.ended.code !== status.OK;
  }

  /** Acknowledges everything up to `sequence`, whatever was received. */
  ack(sequence: number): void {
    this.acked = Math.max(this.acked, sequence);
    this.#call.write({ ack: { sequence } });
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
    this.#call.write({ ack: { sequence }, credit });
  }

  nack(sequence: number): void {
    this.#call.write({ nack: { sequence, reason: "the conformance test wants it again" } });
  }

  grant(credit: CreditMessage): void {
    this.#credit = credit;
    this.#call.write({ credit });
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
    this.#call.cancel();
    this.#client.close();
  }

  #receive({ message, eventSizes, size }: ReceivedResponse): void {
    if (message.opened) this.opened = message.opened;
    if (!this.opened) {
      this.#violation("publish/opened", "the first response to a subscription is not Opened");
    }
    if (this.endOfStream !== undefined) {
      this.#violation("end/nothing-after", message.end ? "EndOfStream came twice" : "something followed EndOfStream");
    }
    if (message.end) this.#receiveEnd(message.end.lastSequence);
    if (message.batch) this.#receiveBatch(message.batch.firstSequence, message.batch.events, eventSizes, size);
  }

  #receiveEnd(lastSequence: number): void {
    const { length } = this.events;
    if (lastSequence !== length) {
      this.#violation("end/nothing-after", `EndOfStream has last_sequence ${lastSequence} after ${length} events`);
    }
    if (this.acked < length) {
      this.#violation("end/after-acks", `EndOfStream came when ${this.acked} of ${length} events were acknowledged`);
    }
    this.endOfStream = lastSequence;
  }

  #receiveBatch(first: number, events: readonly EventMessage[], sizes: readonly number[], size: number): void {
    const before = this.events.length;
    if (first !== before + 1) {
      this.#violation("publish/sequences", `a batch begins with ${first} where ${before + 1} comes next`);
    }
    if (size > defaultMessageLimit && events.length > 1) {
      this.#violation("publish/message-size", `a batch of ${events.length} events is a message of ${size} bytes`);
    }
    this.events.push(...events);
    this.sizes.push(...sizes);
    this.#bytes += sizes.reduce((sum, one) => sum + one, 0);
    if (this.events.length > this.#credit.maxSequence) {
      this.#violation(
        "publish/credit-events",
        `it sent event ${this.events.length} with a credit of ${this.#credit.maxSequence}`,
      );
    }
    const aloneAndNothingOpen = events.length === 1 && this.acked >= before;
    if (this.#bytes > this.#credit.maxBytes && !aloneAndNothingOpen) {
      this.#violation(
        "publish/credit-bytes",
        `it sent ${this.#bytes} bytes of events with a credit of ${this.#credit.maxBytes} bytes, and not as a single event with nothing unacknowledged`,
      );
    }
    if (this.acknowledge) this.ackAll();
  }
}

const channelOptions: ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_retries": 0,
};
