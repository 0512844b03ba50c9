import { Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { CreditMessage, EventMessage, OpenMessage, SubscribeRequest, SubscribeResponse } from "./messages.ts";
import type { Protocol } from "./protocol.ts";
import { isStray, strayRefusal } from "./stray.ts";
import type { TestIdentity } from "./test-identity.ts";
import type { ReportViolation } from "./violation.ts";
import type { Notice } from "./waiting.ts";
import { batchFromTheFuture } from "./wire.ts";

/** One subscription of the component, seen from above. */
export class UpstreamStream {
  /** What came first, when it was an Open. */
  open: OpenMessage | undefined;
  /** Highest sequence number acknowledged. */
  acked = 0;
  nacks = 0;
  /** Highest sequence number sent. */
  sent = 0;
  ended = false;
  /** Whether the component has closed its side, as whoever leaves does. */
  left = false;
  credit: CreditMessage = { maxSequence: 0, maxBytes: 0 };
  readonly #call: ServerDuplexStream<SubscribeRequest, SubscribeResponse | Buffer>;
  readonly #violation: ReportViolation;
  #first = true;

  constructor(call: ServerDuplexStream<SubscribeRequest, SubscribeResponse | Buffer>, violation: ReportViolation) {
    this.#call = call;
    this.#violation = violation;
  }

  /** How many more events the component said that it can take. */
  get room(): number {
    return this.ended || this.open === undefined ? 0 : Math.max(0, this.credit.maxSequence - this.sent);
  }

  /** Sends events in one batch. The caller keeps to the credit. */
  send(events: readonly EventMessage[]): void {
    this.#call.write({ batch: { firstSequence: this.sent + 1, events: [...events] } });
    this.sent += events.length;
  }

  /** Sends one event in a message full of fields that the component cannot know. */
  sendFromTheFuture(event: EventMessage): void {
    this.sent += 1;
    this.#call.write(batchFromTheFuture(this.sent, event));
  }

  /** Ends the data for good; or, `drained`, the edge alone. */
  end({ drained = false } = {}): void {
    this.#call.write({ end: { lastSequence: this.sent, drained } });
    this.finish();
  }

  /** Ends the stream with OK. */
  finish(): void {
    this.#call.end();
  }

  /** Breaks the stream as a server does that goes away. */
  break(): void {
    this.ended = true;
    this.#call.emit("error", { code: status.UNAVAILABLE, details: "the upstream went away" });
  }

  /** Takes in what the component sent. */
  receive(request: SubscribeRequest): void {
    const first = this.#first;
    this.#first = false;
    if (first !== (request.open !== undefined && request.open !== null)) {
      this.#violation(
        "subscribe/open",
        first ? "the first message of a subscription is not Open" : "it sent Open a second time on one stream",
      );
    }
    if (request.open) {
      this.open = request.open;
      this.#grant(request.open.credit ?? { maxSequence: 0, maxBytes: 0 });
    } else if (request.nack) this.nacks += 1;
    else if (request.ack) this.#acknowledge(request.ack.sequence);
    if (request.credit) this.#grant(request.credit);
  }

  #grant(credit: CreditMessage): void {
    if (credit.maxSequence < this.credit.maxSequence || credit.maxBytes < this.credit.maxBytes) {
      this.#violation(
        "subscribe/credit",
        `its credit went back from ${show(this.credit)} to ${show(credit)}; credit is a total since the stream was opened`,
      );
    }
    this.credit = credit;
  }

  #acknowledge(sequence: number): void {
    if (sequence < this.acked)
      this.#violation("ack/monotone", `it acknowledged ${sequence} after it had acknowledged ${this.acked}`);
    if (sequence > this.sent)
      this.#violation("ack/sent", `it acknowledged ${sequence} when only ${this.sent} events had been sent`);
    this.acked = Math.max(this.acked, sequence);
  }
}

function show(credit: CreditMessage): string {
  return `${credit.maxSequence} events, ${credit.maxBytes} bytes`;
}

const notMeant = {
  name: "Error",
  message: "this is another instance",
  code: status.FAILED_PRECONDITION,
  details: "this is another instance",
};

/** Whom a test upstream plays. */
export interface UpstreamIdentity {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
  /** Who is who, once it starts; undefined where everybody speaks in the clear. */
  readonly identity: () => TestIdentity | undefined;
}

/** So long a goodbye waits for an answer, in milliseconds. */
const goodbyeMs = 10;

/** An instance of an upstream component, played by the test. */
export class TestUpstream {
  readonly componentId: string;
  readonly instanceId: string;
  /** Every subscription so far, oldest first. */
  readonly streams: UpstreamStream[] = [];
  /** Serial number of the certificate that the last subscription was opened with. */
  shown: string | undefined;
  readonly #pipeline: string;
  readonly #identity: UpstreamIdentity["identity"];
  readonly #protocol: Protocol;
  readonly #notice: Notice;
  readonly #violation: ReportViolation;
  #server: Server | undefined;
  #port = 0;
  /** How another instance answers in its place, and at which connection. */
  #another: { readonly how: "says so" | "refuses"; peer?: string } | undefined;

  constructor(who: UpstreamIdentity, protocol: Protocol, notice: Notice, violation: ReportViolation) {
    this.#pipeline = who.pipeline;
    this.#identity = who.identity;
    this.componentId = who.componentId;
    this.instanceId = who.instanceId;
    this.#protocol = protocol;
    this.#notice = notice;
    this.#violation = violation;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** The subscription that is open now; undefined when there is none. */
  get live(): UpstreamStream | undefined {
    return this.streams.findLast((stream) => !stream.ended && stream.open !== undefined);
  }

  /** Starts to answer, unless it does. */
  async start(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = new Server();
    server.addService(this.#protocol.eventStream, {
      Subscribe: (call: ServerDuplexStream<SubscribeRequest, SubscribeResponse | Buffer>) => this.#subscribed(call),
    });
    this.#port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", this.#credentials(), (error, port) => (error ? reject(error) : resolve(port))),
    );
    this.#server = server;
  }

  /** From now on another instance has its address for whoever keeps the first connection: a new one leads here again. */
  isAnother(how: "says so" | "refuses"): void {
    this.#another = { how };
  }

  /** Vanishes with all its connections. */
  stop(): void {
    this.#server?.forceShutdown();
    for (const stream of this.streams) stream.ended = true;
  }

  #credentials(): ServerCredentials {
    const { componentId: component, instanceId: instance } = this;
    const name = { role: "component", pipeline: this.#pipeline, component, instance } as const;
    return this.#identity()?.serving(name) ?? ServerCredentials.createInsecure();
  }

  #subscribed(call: ServerDuplexStream<SubscribeRequest, SubscribeResponse | Buffer>): void {
    const stranger = this.#identity()?.admit(call, "Subscribe");
    if (stranger !== undefined) {
      const { message, status: code } = stranger;
      return void call.emit("error", { name: "Error", message, code, details: message });
    }
    this.shown = call.getAuthContext().sslPeerCertificate?.serialNumber.toLowerCase();
    const stream = new UpstreamStream(call, this.#violation);
    this.streams.push(stream);
    const ended = () => {
      stream.ended = true;
      this.#notice.changed();
    };
    call.on("data", (request: SubscribeRequest) => {
      if (request.open && isStray(request.open.pipeline, this.#pipeline)) return call.emit("error", strayRefusal);
      if (this.#another !== undefined) this.#another.peer ??= call.getPeer();
      const another = this.#another?.peer === call.getPeer() ? this.#another.how : undefined;
      if (request.open && another === "refuses") return call.emit("error", notMeant);
      stream.receive(request);
      const instanceId = another === undefined ? this.instanceId : `${this.instanceId}-in-its-place`;
      if (request.open) call.write({ opened: { componentId: this.componentId, instanceId } });
      this.#notice.changed();
    });
    let isBroken = false;
    call.on("end", () => {
      ended();
      // It waits for the answer, which says that its acknowledgements have arrived; of one that breaks off more is heard first.
      setTimeout(() => {
        stream.left = !isBroken;
        stream.finish();
      }, goodbyeMs);
    });
    call.on("cancelled", () => {
      isBroken = true;
      ended();
    });
    call.on("error", ended);
  }
}
