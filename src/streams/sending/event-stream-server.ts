import type { Server, ServerCredentials, ServerDuplexStream, UntypedServiceImplementation } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../../foundation/clock.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Logger } from "../../foundation/logger.ts";
import { peerOfCall } from "../../identity/peer-of-call.ts";
import { requireItself, requirePermission } from "../../identity/permissions.ts";
import { serverCredentials } from "../../identity/tls-credentials.ts";
import type { IdentitySource } from "../../identity/tls-identity.ts";
import { serverChannelOptions } from "../../protocol/channel-options.ts";
import { toStatus } from "../../protocol/grpc-errors.ts";
import { createGrpcServer } from "../../protocol/server.ts";
import {
  decodeRequest,
  encodeOpened,
  type Open,
  type OutgoingBatch,
  SUBSCRIBE_PATH,
  type SubscribeRequest,
} from "../../protocol/stream-codec.ts";
import type { Member, MemberTransport } from "./member.ts";
import type { Publisher } from "./publisher.ts";

/** The upstream instance whose streams are served. */
export interface StreamHost {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
  readonly publisher: Publisher;
  readonly log: Logger;
  /** Who serves them: subscribers have to prove that they are whom they say. Left out: streams are served in the clear. */
  readonly identity?: IdentitySource | undefined;
  /** By which their certificates expire; left out: the machine's. */
  readonly clock?: Pick<Clock, "now"> | undefined;
}

export interface EventStreamServerOptions extends StreamHost {
  /** `host:port` to bind; port 0 takes any free one. */
  readonly listen: string;
}

export interface EventStreamServer {
  readonly port: number;
  /**
   * Waits until every stream has ended, at most until the signal fires, and stops listening. Streams that are open then end with
   * `stream/stopping`, or `stream/failed`. Their publisher has to be closed before, so that what one held is not given to the next.
   */
  close(signal: AbortSignal, why?: Why): Promise<void>;
}

/** Why an instance ends streams. */
type Why = "stopping" | "failed";

type Call = ServerDuplexStream<Buffer, Buffer | OutgoingBatch>;

/** Of a request, whose longest part is the reason of a nack: what is announced is kept until all of it is there. */
const MAX_REQUEST_BYTES = 256 * 1024;
/** Refusals that are over as soon as the subscriber dials again. */
const PASSING: ReadonlySet<string> = new Set(["stream/not-ready", "identity/expired"]);
/** On one connection, on which an instance opens one stream. */
const MAX_STREAMS = 128;

/** The definition of `flowctl.stream.v1.EventStream`, with messages as they are on the wire. */
export const eventStreamDefinition = {
  Subscribe: {
    path: SUBSCRIBE_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: writesItself,
    responseDeserialize: same,
  },
} as const;

/**
 * Serves `flowctl.stream.v1.EventStream` out of a publisher. Whatever a peer does wrong costs its own stream and nothing
 * else. Rejects with `stream/listen-failed`.
 */
export async function serveEventStream(options: EventStreamServerOptions): Promise<EventStreamServer> {
  const server = createGrpcServer({
    ...serverChannelOptions(),
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_concurrent_streams": MAX_STREAMS,
  });
  const open = new OpenCalls();
  const refusals = new Refusals();
  const implementation: UntypedServiceImplementation = {
    Subscribe: (call: Call) => {
      open.add(call);
      subscribe(call, options, refusals);
    },
  };
  server.addService(eventStreamDefinition, implementation);
  const port = await bind(server, options.listen, serverCredentials(options.identity));
  return { port, close: (signal, why) => shutDown(server, open, signal, why) };
}

/** Streams on a server of somebody else's. */
export interface EventStreamService {
  readonly implementation: UntypedServiceImplementation;
  /** Ends every stream that is open with `stream/stopping`. */
  stop(): void;
}

/** Serves the streams of whoever `host` returns when one is opened. Undefined: nobody's, for now. */
export function eventStreamService(host: () => StreamHost | undefined): EventStreamService {
  const open = new OpenCalls();
  const refusals = new Refusals();
  return {
    implementation: {
      Subscribe: (call: Call) => {
        open.add(call);
        const current = host();
        if (current !== undefined) subscribe(call, current, refusals);
        else call.emit("error", toStatus(nothingServed()));
      },
    },
    stop: () => open.fail(ending("stopping")),
  };
}

/** One subscription: waits for Open, then feeds the member with what the peer says. */
function subscribe(call: Call, options: StreamHost, refusals: Refusals): void {
  const { publisher, log } = options;
  let member: Member | undefined;
  let group = "";
  let instance = "";
  let over = false;
  const transport: MemberTransport = {
    send: (batch) => call.write(batch),
    finish: (message) => {
      over = true;
      call.write(message);
      call.end();
    },
    fail: (error) => {
      if (over) return;
      over = true;
      // Somebody who dials before the topology is known, or by a connection that is too old, dials again: nothing to worry anybody with. Nor
      // is a repetition news.
      const isNews = !PASSING.has(error.code) && (member !== undefined || refusals.isNew(group, instance, error.code));
      const tell = isNews ? log.warn : log.debug;
      tell("closed a stream", {
        group,
        instance,
        code: error.code,
        reason: error.message,
      });
      call.emit("error", toStatus(error));
    },
  };
  const open = (request: Open): void => {
    if (options.identity !== undefined) checkSubscriber(call, request, options);
    group = request.group;
    instance = request.instanceId;
    checkMeant(request, options);
    // Opened is a promise that events may come: whoever is refused is not given it, and dials again more and more slowly.
    publisher.requireGroup(group);
    call.write(encodeOpened(options.componentId, options.instanceId));
    refusals.forget(group, instance);
    member = publisher.attach(group, request.instanceId, transport, request.credit);
    log.debug("downstream connected", { group, instance: request.instanceId });
  };
  const leave = (): void => {
    over = true;
    if (member !== undefined) publisher.detach(group, member);
  };
  call.on("data", (message: Buffer) => {
    if (over) return;
    try {
      const request = decodeRequest(message);
      if (member === undefined) {
        if (request.kind !== "open") throw violation("the first request must be Open");
        open(request.open);
      } else feed(member, request);
    } catch (error) {
      transport.fail(
        FlowctlError.wrap(error, { code: "stream/internal", kind: "internal", message: "the stream failed" }),
      );
      leave();
    }
  });
  call.on("drain", () => member?.drained());
  call.on("end", () => {
    if (!over) call.end();
    leave();
  });
  call.on("cancelled", leave);
  call.on("close", leave);
  call.on("error", leave);
}

function feed(member: Member, request: SubscribeRequest): void {
  switch (request.kind) {
    case "ack":
      member.ack(request.sequence, request.credit);
      return;
    case "nack":
      member.nack(request.sequence);
      break;
    case "open":
      throw violation("Open was sent twice on a stream");
    case "other":
      break;
  }
  if (request.credit !== undefined) member.grant(request.credit);
}

/** Refuses who is not the instance that the stream is to be of, by the certificate of the connection, which may be older than that lasts. */
function checkSubscriber(call: Call, { group, instanceId }: Open, host: StreamHost): void {
  const { pipeline, clock = systemClock } = host;
  const peer = requirePermission(SUBSCRIBE_PATH, peerOfCall(call), pipeline, clock.now());
  requireItself(peer, { componentId: group, instanceId });
}

/** Refuses who has come to the wrong place, before anything is changed by it. */
function checkMeant(request: Open, { pipeline, componentId, instanceId }: StreamHost): void {
  if (request.group === "" || request.instanceId === "") throw violation("Open requires group and instance_id");
  if (request.pipeline !== pipeline) {
    throw new FlowctlError({
      code: "stream/wrong-pipeline",
      kind: "conflict",
      message: `this component belongs to pipeline ${pipeline}, not to ${JSON.stringify(request.pipeline)}`,
      fix: "connect only to addresses from the control plane of your own pipeline",
    });
  }
  const { upstreamInstance } = request;
  if (upstreamInstance !== "" && upstreamInstance !== instanceId) {
    throw new FlowctlError({
      code: "stream/wrong-upstream",
      kind: "conflict",
      message: `this is ${instanceId} of ${componentId}, not ${JSON.stringify(upstreamInstance)}`,
      fix: "look up the address again: another instance uses it now",
    });
  }
}

function nothingServed(): FlowctlError {
  return new FlowctlError({
    code: "stream/not-ready",
    kind: "unavailable",
    message: "no events are sent from here now",
    fix: "follow the topology",
  });
}

function violation(what: string): FlowctlError {
  return new FlowctlError({ code: "stream/protocol", kind: "invalid", message: `protocol violation: ${what}` });
}

async function bind(server: Server, listen: string, credentials: ServerCredentials): Promise<number> {
  return await new Promise((resolve, reject) => {
    server.bindAsync(listen, credentials, (error, port) => {
      if (error === null) return resolve(port);
      reject(
        new FlowctlError({
          code: "stream/listen-failed",
          kind: "unavailable",
          message: `cannot listen on ${listen}: ${messageOf(error)}`,
          fix: "set FLOWCTL_LISTEN to a free address",
          cause: error,
        }),
      );
    });
  });
}

/** How long connections may take to close once no stream is open on them, in milliseconds. */
const GOODBYE_MS = 1_000;

/** How long it is waited for subscribers to hear that this instance stops, in milliseconds: its grace period is over, or nearly. */
const STOP_MS = 200;

/**
 * A connection that keepalive has given up while a write was stuck in it is not closed by Node.js before TCP gives up as
 * well, after a quarter of an hour: once no stream is open, connections are not waited for much longer.
 */
async function shutDown(server: Server, open: OpenCalls, signal: AbortSignal, why: Why = "stopping"): Promise<void> {
  await new Promise<void>((resolve) => {
    let goodbye: NodeJS.Timeout | undefined;
    const closed = (): void => {
      clearTimeout(goodbye);
      signal.removeEventListener("abort", stop);
      resolve();
    };
    const force = (): void => {
      server.forceShutdown();
      closed();
    };
    // Whoever is subscribed hears why its stream ends: a stop is nothing to warn of.
    const stop = (): void => {
      open.fail(ending(why));
      clearTimeout(goodbye);
      goodbye = setTimeout(force, STOP_MS);
    };
    server.tryShutdown(closed);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    open.onNone(() => {
      goodbye ??= setTimeout(force, GOODBYE_MS);
    });
  });
}

function ending(why: Why): FlowctlError {
  const message = why === "failed" ? "this instance has failed" : "this instance is stopping";
  return new FlowctlError({ code: `stream/${why}`, kind: "unavailable", message });
}

/** Why each subscriber was refused last: whoever is refused dials again and again. */
class Refusals {
  private readonly last = new Map<string, string>();

  /** Whether this subscriber was not refused for the same reason the last time. */
  isNew(group: string, instance: string, code: string): boolean {
    const who = `${group} ${instance}`;
    if (this.last.get(who) === code) return false;
    // Names come from whoever dials: there is no end to them.
    if (this.last.size >= MANY) this.last.clear();
    this.last.set(who, code);
    return true;
  }

  forget(group: string, instance: string): void {
    this.last.delete(`${group} ${instance}`);
  }
}

/** How many subscribers' refusals are remembered. */
const MANY = 256;

/** The calls that have not closed yet. */
class OpenCalls {
  private readonly calls = new Set<Call>();
  private none: (() => void) | undefined;

  add(call: Call): void {
    this.calls.add(call);
    const closed = (): void => {
      this.calls.delete(call);
      if (this.calls.size === 0) this.none?.();
    };
    for (const event of ["cancelled", "close", "error"]) call.once(event, closed);
  }

  /** Ends every call that is open with this error. */
  fail(error: FlowctlError): void {
    for (const call of this.calls) call.emit("error", toStatus(error));
  }

  /** Calls back as soon as no call is open: at once when none is. */
  onNone(callback: () => void): void {
    this.none = callback;
    if (this.calls.size === 0) callback();
  }
}

/**
 * grpc-js copies what a serializer gives into its frame, at once, by `byteLength` and `copy(frame, offset)`, and uses nothing
 * else of it. A batch has these two, so that its events are copied once, from where they lie into the frame. Every test over
 * gRPC would fail if another version did otherwise.
 */
function writesItself(message: Buffer | OutgoingBatch): Buffer {
  return message as Buffer;
}

function same(message: Buffer): Buffer {
  return message;
}
