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
  /** Sent instead of Open. */
  readonly instead?: SubscribeRequest | Buffer;
}

type SubscribeClient = Client & { Subscribe(): ClientDuplexStream<SubscribeRequest | Buffer, ReceivedResponse> };

/**
 * An instance of a downstream component, played by the test: one subscription at the component. It watches the
 * standing obligations of whoever sends (numbering, credit, size of messages) and reports what breaks them.
 */
export class TestDownstream {
  readonly events: EventMessage[] = [];
  /** Sizes of the events as they were encoded, in bytes; same order as `events`. */
  readonly sizes: number[] = [];
  opened: { componentId: string; instanceId: string } | undefined;
  /** Last sequence number as EndOfStream gave it; undefined before. */
  endOfStream: number | undefined;
  /** Highest sequence number that was acknowledged when EndOfStream came. */
  ackedAtEnd: number | undefined;
  /** How the stream ended; undefined while it is open. */
  ended: { readonly code: number; readonly details: string } | undefined;
  acked = 0;
  acknowledge: boolean;
  readonly #client: SubscribeClient;
  readonly #call: ClientDuplexStream<SubscribeRequest | Buffer, ReceivedResponse>;
  readonly #notice: Notice;
  readonly #violation: ReportViolation;
  #credit: CreditMessage;
  #bytes = 0;

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
          group: options.group ?? "below",
          instanceId: options.instanceId ?? `${options.group ?? "below"}-1`,
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

  ackAll(): void {
    if (this.events.length > this.acked) this.ack(this.events.length);
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

  /** Breaks the stream from below. */
  close(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #receive({ message, eventSizes, size }: ReceivedResponse): void {
    if (message.opened) this.opened = message.opened;
    if (!this.opened) {
      this.#violation("publish/opened", "the first response to a subscription is not Opened");
    }
    if (message.end) {
      this.endOfStream = message.end.lastSequence;
      this.ackedAtEnd = this.acked;
    }
    if (message.batch) this.#receiveBatch(message.batch.firstSequence, message.batch.events, eventSizes, size);
  }

  #receiveBatch(first: number, events: readonly EventMessage[], sizes: readonly number[], size: number): void {
    const before = this.events.length;
    if (this.endOfStream !== undefined) this.#violation("end/stream", "events followed EndOfStream");
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
