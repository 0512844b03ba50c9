import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { Server, type ServerCredentials, type ServerOptions } from "@grpc/grpc-js";

/** What is within a server of grpc-js. */
interface Inner {
  /** Looks at every stream first, whether it goes on with it. */
  _verifyContentType(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean;
  createHttp2Server(credentials: ServerCredentials): Http2Server;
}

/** How long a connection that is given up may take to say goodbye, in milliseconds. */
const GOODBYE_MS = 1_000;

/**
 * A gRPC server that mends three things. With TLS Node.js can tell of a stream whose connection is gone already; grpc-js 1.14
 * would answer what is wrong with such a stream, which throws where nobody catches it, and ends the program. And where a message is too
 * long it ends the stream, and then writes what its call had been given before: Node.js takes that for a failure of the stream, and
 * whoever is at the other end would never hear how it ended. A connection that keepalive has given up while a write was stuck in it is not
 * closed by Node.js 20 before TCP gives up as well, after a quarter of an hour, or never.
 */
export function createGrpcServer(options: ServerOptions): Server {
  const server = new Server(options);
  const inner = server as unknown as Inner;
  const look = inner._verifyContentType.bind(server);
  inner._verifyContentType = (stream, headers) => {
    if (stream.destroyed) return false;
    ignoreLateWrites(stream);
    return look(stream, headers);
  };
  const make = inner.createHttp2Server.bind(server);
  inner.createHttp2Server = (credentials) => {
    const made = make(credentials);
    closeWhatIsGivenUp(made, credentials._isSecure() ? "secureConnection" : "connection");
    return made;
  };
  return server;
}

/**
 * Whether the deadline of a call is over. Where it was over before the request was complete, grpc-js hands the call over all the same, and
 * never tells that it has ended: a handler that waits for that would hold it for ever.
 */
export function isOverdue(call: { getDeadline(): Date | number }): boolean {
  return Number(call.getDeadline()) <= Date.now();
}

/** Looks at the connections from time to time: a session with a `destroy` of its own would never be collected. */
function closeWhatIsGivenUp(server: Http2Server, connected: "connection" | "secureConnection"): void {
  const open = new Map<ServerHttp2Session, Socket>();
  /** Of the open ones, those that were given up before the last look. */
  const givenUp = new Set<ServerHttp2Session>();
  let looks: NodeJS.Timeout | undefined;
  const look = (): void => {
    for (const [session, socket] of open) {
      if (!socket.destroyed && !givenUp.has(session)) {
        if (session.destroyed) givenUp.add(session);
        continue;
      }
      socket.destroy();
      givenUp.delete(session);
      open.delete(session);
    }
    if (open.size > 0) return;
    clearInterval(looks);
    looks = undefined;
  };
  let made: ServerHttp2Session | undefined;
  server.on("session", (session) => {
    made = session;
  });
  // Node.js tells of the session while it handles the connection, and its own handler is the first.
  server.on(connected, (socket: Socket) => {
    if (made !== undefined) open.set(made, socket);
    made = undefined;
    looks ??= setInterval(look, GOODBYE_MS).unref();
  });
}

function ignoreLateWrites(stream: ServerHttp2Stream): void {
  const write = stream.write.bind(stream) as (...args: readonly unknown[]) => boolean;
  stream.write = (...args: readonly unknown[]) => !stream.writableEnded && write(...args);
}

/** Resolves when more may be written to a call, or the signal fires. */
export function drained(call: Writable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.removeListener("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.once("drain", done);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
