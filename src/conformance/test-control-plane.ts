import { createServer, type Server as TcpServer } from "node:net";
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import type {
  CheckpointMessage,
  DeregisterMessage,
  HeartbeatMessage,
  IdentityMessage,
  RegisterMessage,
  TopologyMessage,
} from "./messages.ts";
import { PortLease } from "./port-lease.ts";
import type { Protocol } from "./protocol.ts";
import { type Refusal, refused } from "./refusal.ts";
import { isStray, strayRefusal } from "./stray.ts";
import { isRefusal, type TestIdentity, type WorkingMessage } from "./test-identity.ts";
import { TestPartitions } from "./test-partitions.ts";
import type { ReportViolation } from "./violation.ts";
import type { Notice } from "./waiting.ts";

type Reply = (error: { code: number; details: string; metadata?: Metadata } | null, answer?: object) => void;

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
  /** Leave RegisterComponent without an answer, until `answerRegistrations`. */
  withholdRegistrations = false;
  /** Leave DeregisterComponent without an answer, until `answerDeregistrations`. */
  withholdDeregistrations = false;
  /** How the next calls of RegisterComponent are refused, one each. They are not among `registrations`. */
  readonly registrationRefusals: Refusal[] = [];
  /** The same for DeregisterComponent. */
  readonly deregistrationRefusals: Refusal[] = [];
  /** Given to the component when it registers. */
  checkpoint: Buffer | undefined;
  /** Whether the component has called anything, however that was answered. */
  wasCalled = false;
  /** Who is who; undefined where everybody speaks in the clear. Set before `start`. */
  identity: TestIdentity | undefined;
  readonly #pipeline: string;
  readonly #protocol: Protocol;
  readonly #notice: Notice;
  readonly #heartbeatMs: number;
  readonly #late: (() => void)[] = [];
  /** Incarnations that have deregistered. */
  readonly #gone = new Set<string>();
  readonly #violation: ReportViolation;
  readonly #withheld: { readonly position: Buffer; readonly request: CheckpointMessage; readonly reply: Reply }[] = [];
  readonly #partitions = new TestPartitions();
  readonly #watchers = new Set<ServerWritableStream<object, object>>();
  #topology: TopologyMessage = { upstreams: [], downstreams: [] };
  #known = false;
  #server: Server | undefined;
  #lease: PortLease | undefined;
  #dropping: TcpServer | undefined;
  #dropped = 0;

  constructor(
    pipeline: string,
    protocol: Protocol,
    notice: Notice,
    options: { readonly heartbeatMs: number; readonly violation: ReportViolation },
  ) {
    this.#pipeline = pipeline;
    this.#protocol = protocol;
    this.#notice = notice;
    this.#heartbeatMs = options.heartbeatMs;
    this.#violation = options.violation;
  }

  get address(): string {
    return `127.0.0.1:${this.#lease?.port}`;
  }

  /** Port of the address; 0 before the first start. */
  get port(): number {
    return this.#lease?.port ?? 0;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Starts to answer, unless it does; after `stop` at the same address as before. */
  async start(): Promise<void> {
    if (this.#server !== undefined) return;
    await this.#stopDropping();
    const server = new Server();
    server.addService(this.#protocol.registry, {
      Join: (call: ServerUnaryCall<object, object>, reply: Reply) =>
        void this.#identify(call, reply, this.identity?.join(call)),
      Renew: (call: ServerUnaryCall<object, object>, reply: Reply) =>
        void this.#identify(call, reply, this.identity?.renew(call)),
      RegisterComponent: this.#recorded(
        "RegisterComponent",
        (request: RegisterMessage) => {
          this.#known = true;
          this.#partitions.registered(request, this.registrations.at(-1)?.incarnation !== request.incarnation);
          this.registrations.push(request);
          if (this.#gone.has(request.incarnation)) {
            this.#violation("stop/last-word", "it registered again after it had called DeregisterComponent");
          }
          return {
            componentId: request.componentId,
            instanceId: request.instanceId,
            ...(this.checkpoint === undefined || this.#partitions.isDeclared ? {} : { checkpoint: this.checkpoint }),
            heartbeatInterval: {
              seconds: Math.floor(this.#heartbeatMs / 1000),
              nanos: (this.#heartbeatMs % 1000) * 1e6,
            },
            topology: this.#told,
          };
        },
        { withheld: () => this.withholdRegistrations, refusals: this.registrationRefusals },
      ),
      Heartbeat: this.#recorded("Heartbeat", (request: HeartbeatMessage) => {
        if (!this.#known) return undefined;
        this.heartbeats.push(request);
        return {};
      }),
      DeregisterComponent: this.#recorded(
        "DeregisterComponent",
        (request: DeregisterMessage) => {
          if (!this.#known && !this.#gone.has(request.incarnation)) return undefined;
          this.deregistrations.push(request);
          // As a control plane does: whoever beats once more is told that nobody knows it.
          this.#known = false;
          this.#gone.add(request.incarnation);
          return {};
        },
        { withheld: () => this.withholdDeregistrations, refusals: this.deregistrationRefusals },
      ),
      SaveCheckpoint: (call: ServerUnaryCall<CheckpointMessage, object>, reply: Reply) => {
        if (isStray(call.request.pipeline, this.#pipeline)) return reply(strayRefusal);
        const stranger = this.identity?.admit(call, "SaveCheckpoint");
        if (stranger !== undefined) return reply(refused(stranger));
        const position = Buffer.from(call.request.position);
        if (this.withholdCheckpoints) this.#withheld.push({ position, request: call.request, reply });
        else this.#store(position, call.request, reply);
        this.#notice.changed();
      },
      WatchTopology: (call: ServerWritableStream<IdentityMessage, object>) => {
        if (isStray(call.request.pipeline, this.#pipeline)) return call.emit("error", strayRefusal);
        const stranger = this.identity?.admit(call, "WatchTopology");
        if (stranger !== undefined) return call.emit("error", refused(stranger));
        this.#watchers.add(call);
        call.on("cancelled", () => this.#forgetWatcher(call));
        call.on("error", () => this.#forgetWatcher(call));
        call.write({ topology: this.#told });
        this.#notice.changed();
      },
    });
    this.#lease ??= await PortLease.take();
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(this.address, this.#credentials(), (error) => (error ? reject(error) : resolve())),
    );
    this.#server = server;
  }

  #credentials(): ServerCredentials {
    const name = { role: "control-plane", pipeline: this.#pipeline } as const;
    return this.identity?.serving(name) ?? ServerCredentials.createInsecure();
  }

  async #identify(
    call: ServerUnaryCall<object, object>,
    reply: Reply,
    answering: Promise<WorkingMessage | Refusal> | undefined,
  ): Promise<void> {
    this.wasCalled = true;
    const message = "this pipeline has no identity";
    const answer = (await answering) ?? { status: status.FAILED_PRECONDITION, code: "identity/none", message };
    if (isRefusal(answer)) reply(refused(answer));
    else if (!call.cancelled) reply(null, answer);
    this.#notice.changed();
  }

  /** After `stop`: accepts connections at the same address and breaks them at once, until it is started. */
  async dropConnections(): Promise<void> {
    const server = createServer((socket) => {
      this.#dropped += 1;
      socket.on("error", () => undefined);
      socket.destroy();
      this.#notice.changed();
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(Number(this.#lease?.port), "127.0.0.1", resolve);
    });
    this.#dropping = server;
  }

  /** How many connections were broken so. */
  get dropped(): number {
    return this.#dropped;
  }

  async #stopDropping(): Promise<void> {
    const server = this.#dropping;
    this.#dropping = undefined;
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  /** Stops for good. */
  dispose(): void {
    this.stop();
    void this.#stopDropping();
    this.#lease?.release();
    this.#lease = undefined;
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

  /** Answers what waits, and whatever comes from now on. */
  answerRegistrations(): void {
    this.withholdRegistrations = false;
    for (const answer of this.#late.splice(0)) answer();
  }

  /** The same for DeregisterComponent. */
  answerDeregistrations(): void {
    this.withholdDeregistrations = false;
    for (const answer of this.#late.splice(0)) answer();
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
    for (const { position, request, reply } of this.#withheld.splice(0)) this.#store(position, request, reply);
  }

  /** Tells the component, now or when it registers, what surrounds it. */
  announce(topology: TopologyMessage): void {
    this.#topology = topology;
    this.#tell();
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher.write({ topology: this.#told });
  }

  /** The topology with what a source reads. */
  get #told(): TopologyMessage {
    const stored =
      this.checkpoint === undefined ? [] : this.checkpoints.slice(0, this.checkpoints.indexOf(this.checkpoint) + 1);
    return {
      ...this.#topology,
      assignments: this.#partitions.assignments(stored),
      partitionsFinished: this.#partitions.isFinished,
    };
  }

  #store(position: Buffer, request: CheckpointMessage, reply: Reply): void {
    const isRead = request.state === "STATE_UNSPECIFIED";
    if (isRead || position.length > 0) this.checkpoints.push(position);
    this.#partitions.saved(request, position);
    reply(null, {});
    if (!isRead) this.#tell();
  }

  #forgetWatcher(call: ServerWritableStream<object, object>): void {
    this.#watchers.delete(call);
    this.#notice.changed();
  }

  #recorded<Request extends IdentityMessage>(
    method: string,
    answer: (request: Request) => object | undefined,
    { withheld, refusals }: { withheld: () => boolean; refusals: Refusal[] } = { withheld: () => false, refusals: [] },
  ) {
    return (call: ServerUnaryCall<Request, object>, reply: Reply) => {
      if (isStray(call.request.pipeline, this.#pipeline)) return reply(strayRefusal);
      this.wasCalled = true;
      const refusal = this.identity?.admit(call, method) ?? refusals.shift();
      if (refusal !== undefined) {
        reply(refused(refusal));
        return this.#notice.changed();
      }
      const answered = answer(call.request);
      if (answered === undefined) reply({ code: status.NOT_FOUND, details: "the control plane does not know you" });
      else if (withheld()) this.#late.push(() => reply(null, answered));
      else reply(null, answered);
      this.#notice.changed();
    };
  }
}
