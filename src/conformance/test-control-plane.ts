import { Server, ServerCredentials, type ServerUnaryCall, type ServerWritableStream, status } from "@grpc/grpc-js";
import type {
  CheckpointMessage,
  DeregisterMessage,
  HeartbeatMessage,
  IdentityMessage,
  RegisterMessage,
  TopologyMessage,
} from "./messages.ts";
import type { Protocol } from "./protocol.ts";
import { isStray, strayRefusal } from "./stray.ts";
import type { Notice } from "./waiting.ts";

type Reply = (error: { code: number; details: string } | null, answer?: object) => void;

/**
 * A control plane that records what a component tells it and answers as the check wants. It knows one component, and
 * keeps nothing from everyone who asks.
 */
export class TestControlPlane {
  readonly registrations: RegisterMessage[] = [];
  readonly heartbeats: HeartbeatMessage[] = [];
  readonly deregistrations: DeregisterMessage[] = [];
  /** Positions that are stored, oldest first. */
  readonly checkpoints: Buffer[] = [];
  /** Leave SaveCheckpoint without an answer, until `storeWithheld` or `refuseWithheld`. */
  withholdCheckpoints = false;
  /** Given to the component when it registers. */
  checkpoint: Buffer | undefined;
  readonly #pipeline: string;
  readonly #protocol: Protocol;
  readonly #notice: Notice;
  readonly #heartbeatMs: number;
  readonly #withheld: { readonly position: Buffer; readonly reply: Reply }[] = [];
  readonly #watchers = new Set<ServerWritableStream<object, object>>();
  #topology: TopologyMessage = { upstreams: [], downstreams: [] };
  #known = false;
  #server: Server | undefined;
  #port = 0;

  constructor(pipeline: string, protocol: Protocol, notice: Notice, heartbeatMs: number) {
    this.#pipeline = pipeline;
    this.#protocol = protocol;
    this.#notice = notice;
    this.#heartbeatMs = heartbeatMs;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Starts to answer, unless it does; after `stop` at the same address as before. */
  async start(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = new Server();
    server.addService(this.#protocol.registry, {
      RegisterComponent: this.#recorded((request: RegisterMessage) => {
        this.#known = true;
        this.registrations.push(request);
        return {
          componentId: request.componentId,
          instanceId: request.instanceId,
          ...(this.checkpoint === undefined ? {} : { checkpoint: this.checkpoint }),
          heartbeatInterval: { seconds: Math.floor(this.#heartbeatMs / 1000), nanos: (this.#heartbeatMs % 1000) * 1e6 },
          topology: this.#topology,
        };
      }),
      Heartbeat: this.#recorded((request: HeartbeatMessage) => {
        if (!this.#known) return undefined;
        this.heartbeats.push(request);
        return {};
      }),
      DeregisterComponent: this.#recorded((request: DeregisterMessage) => {
        this.deregistrations.push(request);
        return {};
      }),
      SaveCheckpoint: (call: ServerUnaryCall<CheckpointMessage, object>, reply: Reply) => {
        if (isStray(call.request.pipeline, this.#pipeline)) return reply(strayRefusal);
        const position = Buffer.from(call.request.position);
        if (this.withholdCheckpoints) this.#withheld.push({ position, reply });
        else this.#store(position, reply);
        this.#notice.changed();
      },
      WatchTopology: (call: ServerWritableStream<IdentityMessage, object>) => {
        if (isStray(call.request.pipeline, this.#pipeline)) return call.emit("error", strayRefusal);
        this.#watchers.add(call);
        call.on("cancelled", () => this.#forgetWatcher(call));
        call.on("error", () => this.#forgetWatcher(call));
        call.write({ topology: this.#topology });
        this.#notice.changed();
      },
    });
    this.#port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
    this.#server = server;
  }

  /** Vanishes: every connection breaks, nothing answers, and what it knew is forgotten. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#watchers.clear();
    this.#known = false;
  }

  /** Answers heartbeats with NOT_FOUND until the component registers again. */
  forget(): void {
    this.#known = false;
  }

  /** How many calls of SaveCheckpoint wait for an answer. */
  get withheld(): number {
    return this.#withheld.length;
  }

  /** Answers what waits as a control plane does that goes away before the position is on its disk. */
  refuseWithheld(): void {
    for (const { reply } of this.#withheld.splice(0)) reply({ code: status.UNAVAILABLE, details: "not stored" });
  }

  /** Stores and answers what waits, and whatever comes from now on. */
  storeWithheld(): void {
    this.withholdCheckpoints = false;
    for (const { position, reply } of this.#withheld.splice(0)) this.#store(position, reply);
  }

  /** Tells the component, now or when it registers, what surrounds it. */
  announce(topology: TopologyMessage): void {
    this.#topology = topology;
    for (const watcher of this.#watchers) watcher.write({ topology });
  }

  #store(position: Buffer, reply: Reply): void {
    this.checkpoints.push(position);
    reply(null, {});
  }

  #forgetWatcher(call: ServerWritableStream<object, object>): void {
    this.#watchers.delete(call);
    this.#notice.changed();
  }

  #recorded<Request extends IdentityMessage>(answer: (request: Request) => object | undefined) {
    return (call: ServerUnaryCall<Request, object>, reply: Reply) => {
      if (isStray(call.request.pipeline, this.#pipeline)) return reply(strayRefusal);
      const answered = answer(call.request);
      if (answered === undefined) reply({ code: status.NOT_FOUND, details: "the control plane does not know you" });
      else reply(null, answered);
      this.#notice.changed();
    };
  }
}
