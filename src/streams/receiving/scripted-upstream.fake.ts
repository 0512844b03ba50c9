import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { FlowctlError } from "../../foundation/errors.ts";
import { encodeBatch } from "../../protocol/encoded-events.fake.ts";
import { EventEncoder } from "../../protocol/event-encoder.ts";
import type { EventView } from "../../protocol/event-view.ts";
import { toStatus } from "../../protocol/grpc-errors.ts";
import { type Credit, decodeRequest, encodeEnd, encodeOpened, SUBSCRIBE_PATH } from "../../protocol/stream-codec.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** One event that a scripted upstream has for its only group. */
export interface Entry {
  readonly n: number;
  readonly filling: number;
  readonly size: number;
  acked: boolean;
  /** It went to a sibling of the receiver, and will not come here again. */
  gone: boolean;
}

/** One subscription, as the upstream sees it. */
export interface Stream {
  /** Counts the subscriptions of this upstream, from 1. */
  readonly ordinal: number;
  readonly call: Call;
  /** In the order sent: sequence number 1 is the first. */
  readonly sent: Entry[];
  acked: number;
  ackedBytes: number;
  credit: Credit;
  sentBytes: number;
  open: boolean;
}

/** `stopping`: as an instance does that is told to stop. */
export type Break = "error" | "end" | "destroy" | "stopping";
export type Lie = "garbage" | "gap" | "repetition" | "torn batch" | "batch before opened" | "early end";

/** What an event of a scripted upstream tells whoever received it. */
export interface Told {
  readonly upstream: string;
  readonly n: number;
  /** Ordinal of the stream by which it came. */
  readonly stream: number;
}

const encoder = new EventEncoder();
const SERVICE = {
  Subscribe: {
    path: SUBSCRIBE_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const;

/**
 * A real gRPC server that plays one upstream instance from a script: it says nothing that it is not told to say, and keeps
 * what a receiver owes it. Replays on every new stream, oldest first, what is not acknowledged. What a receiver does against
 * the protocol goes to `violations`.
 */
export class ScriptedUpstream {
  readonly componentId: string;
  readonly instanceId: string;
  readonly log: Entry[] = [];
  readonly violations: string[];
  /** Asked for every event that is acknowledged. */
  isDone: (entry: Entry) => boolean = () => true;
  /** Asked for what the receiver may give as credit beyond what it acknowledged. */
  window: Credit = { maxSequence: 0, maxBytes: 0 };
  /** Told of every stream before anything is sent on it. */
  onOpened: (stream: Stream) => void = () => undefined;
  stream: Stream | undefined;
  /** What each request after Open said, such as "ack+credit". */
  readonly said: string[] = [];
  /** Connections that were refused, and those that were taken. */
  refused = 0;
  connections = 0;
  /** Who it says it is. */
  opened: Buffer;
  /** Refuses every stream, as whoever is not meant does, without the code that only this library sends. */
  isAnother = false;
  /** Refuses every stream, as whoever cannot serve it yet does. */
  isAway = false;
  /** What the next stream begins with, instead of Opened. */
  nextLie: Lie | undefined;
  private ordinal = 0;
  private ended = false;
  private drained = false;
  private refusing = false;
  private readonly server = new Server({ "grpc.keepalive_time_ms": 60_000 });
  private readonly injector: ConnectionInjector;
  private listener: NetServer | undefined;
  private readonly sockets = new Set<Socket>();
  private port = 0;

  constructor(componentId: string, instanceId: string, violations: string[]) {
    this.componentId = componentId;
    this.instanceId = instanceId;
    this.violations = violations;
    this.opened = encodeOpened(componentId, instanceId);
    const implementation: UntypedServiceImplementation = { Subscribe: (call: Call) => this.subscribed(call) };
    this.server.addService(SERVICE, implementation);
    this.injector = this.server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get listening(): boolean {
    return this.listener !== undefined;
  }

  /** Unacknowledged, and still this receiver's. */
  get owed(): readonly Entry[] {
    return this.log.filter((entry) => !entry.acked && !entry.gone);
  }

  /** Takes connections, at the same port as before where it is free, unless `elsewhere`. */
  async listen(elsewhere = false): Promise<void> {
    await this.away(false);
    this.refusing = false;
    const listener = createServer((socket) => {
      if (this.refusing) {
        this.refused++;
        socket.destroy();
        return;
      }
      this.connections++;
      this.sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => this.sockets.delete(socket));
      this.injector.injectConnection(socket);
    });
    await new Promise<void>((resolve, reject) => {
      listener.once("error", (error: NodeJS.ErrnoException) => {
        // Somebody on this machine has got the port meanwhile.
        if (error.code !== "EADDRINUSE") reject(error);
        else listener.listen(0, "127.0.0.1", resolve);
      });
      listener.listen(elsewhere ? 0 : this.port, "127.0.0.1", resolve);
    });
    const address = listener.address();
    this.port = typeof address === "object" && address !== null ? address.port : 0;
    this.listener = listener;
  }

  /** Ends every connection, those that are there and those to come, without a word. Until `listen`. */
  refuse(): void {
    this.refusing = true;
    this.destroySockets();
  }

  /** Takes no more connections; `abruptly` ends those that are there without a word. */
  async away(abruptly: boolean): Promise<void> {
    const { listener } = this;
    this.listener = undefined;
    if (abruptly) this.destroySockets();
    if (listener !== undefined) listener.close();
  }

  async close(): Promise<void> {
    await this.away(true);
    this.injector.destroy();
    this.server.forceShutdown();
  }

  /** Makes `count` more events, with `filling` bytes beyond what they have to say. */
  produce(count: number, filling: number): void {
    for (let i = 0; i < count; i++) {
      const n = this.log.length + 1;
      this.log.push({ n, filling, size: this.encode(n, filling, 0).size, acked: false, gone: false });
    }
  }

  /** Sends up to `most` events in one batch: what is to be sent again first. As far as credit goes. Returns how many. */
  send(most: number): number {
    const { stream } = this;
    if (stream === undefined) return 0;
    const entries: Entry[] = [];
    let bytes = stream.sentBytes;
    const already = new Set(stream.sent);
    for (const entry of this.log) {
      if (entries.length >= most || stream.sent.length + entries.length >= stream.credit.maxSequence) break;
      if (entry.acked || entry.gone || already.has(entry)) continue;
      const alone = stream.sent.length + entries.length === stream.acked;
      if (bytes + entry.size > stream.credit.maxBytes && !alone) break;
      bytes += entry.size;
      entries.push(entry);
    }
    if (entries.length === 0) return 0;
    stream.call.write(this.batch(stream, stream.sent.length + 1, entries));
    stream.sent.push(...entries);
    stream.sentBytes = bytes;
    return entries.length;
  }

  /** Ends the stream in one of the ways in which streams break. */
  break(how: Break): void {
    const { stream } = this;
    if (stream === undefined) return;
    if (how === "destroy") this.destroySockets();
    else if (how === "end") stream.call.end();
    else if (how === "stopping")
      stream.call.emit(
        "error",
        toStatus(
          new FlowctlError({ code: "stream/stopping", kind: "unavailable", message: "this instance is stopping" }),
        ),
      );
    else stream.call.emit("error", { code: status.INTERNAL, details: "scripted" });
    this.over(stream);
  }

  /** Says on the open stream what no honest upstream says. The receiver has to end that stream. */
  lie(what: Lie): void {
    const { stream } = this;
    if (stream === undefined || what === "batch before opened") {
      this.nextLie = what;
      return;
    }
    const known = new Set(stream.sent);
    const next = this.log.filter((entry) => !entry.acked && !entry.gone && !known.has(entry)).slice(0, 3);
    const message = this.lying(stream, what, next);
    if (message === undefined) return;
    stream.call.write(message);
    this.over(stream);
  }

  /** How many streams there were. */
  get streams(): number {
    return this.ordinal;
  }

  /** Says the end, of its data or (drained) of the edge, on this stream and on those to come, until `resume`; only when nothing is owed. */
  end(drained = false): void {
    if (this.owed.length > 0) throw new Error("the end of what is not acknowledged");
    this.ended = true;
    this.drained = drained;
    if (this.stream !== undefined) this.sayEnd(this.stream);
  }

  /** A successor of the instance that has ended goes on. */
  resume(): void {
    this.ended = false;
  }

  private sayEnd(stream: Stream): void {
    stream.call.write(encodeEnd(stream.sent.length, this.drained));
    stream.call.end();
  }

  private lying(stream: Stream, what: Lie, next: readonly Entry[]): Buffer | undefined {
    const at = stream.sent.length + 1;
    switch (what) {
      case "garbage":
        return Buffer.from([0xff, 0xff, 0xff, 0xff]);
      case "gap":
        return next.length === 0 ? undefined : this.batch(stream, at + 2, next);
      case "repetition":
        return next.length === 0 || at === 1 ? undefined : this.batch(stream, at - 1, next);
      case "torn batch": {
        if (next.length === 0) return undefined;
        const whole = this.batch(stream, at, next);
        // The length of its last event says that there is more of it than there is.
        const length = whole.length - this.encodedLength(next.at(-1)!, stream) + 1;
        if (whole[length]! < 0x7f) whole[length] = 0x7f;
        else if (whole[length] === 0x7f) whole[length] = 0xff;
        else whole[length + 1]!++;
        return whole;
      }
      case "early end":
        // A receiver that has acknowledged everything cannot know that it was not heard.
        return stream.sent.every((entry) => this.isDone(entry)) ? undefined : encodeEnd(stream.sent.length);
      case "batch before opened":
        return undefined;
    }
  }

  private subscribed(call: Call): void {
    let stream: Stream | undefined;
    const gone = (): void => {
      if (stream !== undefined) this.over(stream);
    };
    call.on("data", (message: Buffer) => {
      const request = decodeRequest(message);
      if (stream === undefined) {
        if (request.kind !== "open") return this.violated(`began with ${request.kind}`);
        const { credit } = request.open;
        stream = {
          ordinal: ++this.ordinal,
          call,
          sent: [],
          acked: 0,
          ackedBytes: 0,
          credit: { maxSequence: 0, maxBytes: 0 },
          sentBytes: 0,
          open: true,
        };
        this.granted(stream, credit);
        this.onOpened(stream);
        this.begin(stream);
        return;
      }
      this.said.push([request.kind, ...(request.credit === undefined ? [] : ["credit"])].join("+"));
      if (request.kind === "ack") this.acknowledged(stream, request.sequence);
      else if (request.kind !== "other") this.violated(`said ${request.kind} on an open stream`);
      if (request.credit !== undefined) this.granted(stream, request.credit);
    });
    call.on("end", () => {
      gone();
      call.end();
    });
    call.on("cancelled", gone);
    call.on("error", gone);
    call.on("close", gone);
  }

  private begin(stream: Stream): void {
    if (this.isAnother || this.isAway) {
      stream.open = false;
      const code = this.isAnother ? status.FAILED_PRECONDITION : status.UNAVAILABLE;
      stream.call.emit("error", { code, details: "not here" });
      return;
    }
    const previous = this.stream;
    if (previous !== undefined) {
      this.over(previous);
      previous.call.emit("error", { code: status.ABORTED, details: "replaced" });
    }
    const lie = this.nextLie;
    this.nextLie = undefined;
    if (lie === "batch before opened" && this.owed.length > 0) {
      stream.call.write(this.batch(stream, 1, this.owed.slice(0, 3)));
      stream.call.write(this.opened);
      stream.open = false;
      return;
    }
    stream.call.write(this.opened);
    this.stream = stream;
    if (this.ended) this.sayEnd(stream);
  }

  private over(stream: Stream): void {
    stream.open = false;
    if (this.stream === stream) this.stream = undefined;
  }

  private acknowledged(stream: Stream, sequence: number): void {
    if (!stream.open) return;
    if (sequence > stream.sent.length) this.violated(`acknowledged ${sequence} of ${stream.sent.length}`);
    if (sequence <= stream.acked) this.violated(`acknowledged ${sequence} after ${stream.acked}`);
    for (const entry of stream.sent.slice(stream.acked, sequence)) {
      if (!this.isDone(entry)) this.violated(`acknowledged ${entry.n}, which is not done`);
      entry.acked = true;
      stream.ackedBytes += entry.size;
    }
    stream.acked = Math.max(stream.acked, sequence);
  }

  private granted(stream: Stream, { maxSequence, maxBytes }: Credit): void {
    if (!stream.open) return;
    if (maxSequence < stream.credit.maxSequence || maxBytes < stream.credit.maxBytes)
      this.violated(`took back credit: ${maxSequence} events, ${maxBytes} bytes`);
    if (maxSequence > stream.acked + this.window.maxSequence || maxBytes > stream.ackedBytes + this.window.maxBytes)
      this.violated(`gave credit for ${maxSequence} events, ${maxBytes} bytes after ${stream.acked} acknowledged`);
    stream.credit = { maxSequence, maxBytes };
  }

  private violated(what: string): void {
    this.violations.push(`${this.instanceId}: the receiver ${what}`);
  }

  private destroySockets(): void {
    if (this.stream !== undefined) this.over(this.stream);
    for (const socket of this.sockets) socket.destroy();
    this.sockets.clear();
  }

  private batch(stream: Stream, firstSequence: number, entries: readonly Entry[]): Buffer {
    const views = entries.map((entry) => this.encodedFor(entry, stream));
    return encodeBatch(firstSequence, views);
  }

  private encodedLength(entry: Entry, stream: Stream): number {
    const view = this.encodedFor(entry, stream);
    return view.end - view.start;
  }

  private encodedFor(entry: Entry, stream: Stream): EventView {
    return this.encode(entry.n, entry.filling, stream.ordinal);
  }

  /** As long for every stream. */
  private encode(n: number, filling: number, stream: number): EventView {
    const told: Told = { upstream: this.instanceId, n, stream };
    return encoder.encode({
      id: `${this.instanceId}:${n}`,
      type: "t",
      payload: JSON.stringify(told).padEnd(80 + filling),
      metadata: undefined,
      timestamp: undefined,
      sourceComponentId: this.componentId,
      contentType: "",
    });
  }
}

function same(message: Buffer): Buffer {
  return message;
}
