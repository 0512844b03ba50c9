import { cancelled } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import type { Method } from "../../../protocol/service-methods.ts";
import { assertPrivateSocket } from "./private-socket.ts";
import {
  type Listener,
  listenerBehind,
  PROTOCOL_MISMATCH,
  protocolMismatch,
  type SupervisorSockets,
} from "./protocol-version.ts";
import type { SupervisorChannel } from "./supervisor-channel.ts";
import { supervisorService } from "./supervisor-messages.ts";
import type { SupervisorHello } from "./supervisor-server.ts";

export interface RequestOptions {
  readonly signal: AbortSignal;
  /** Milliseconds until the answer; unlimited unless given. */
  readonly deadlineMs?: number;
}

/** Code of the error when nobody listens on the socket, or nobody any more. */
export const NO_SUPERVISOR = "process/no-supervisor";
/** Code of the error when the supervisor hangs, broke off, or ended a stream. */
export const SUPERVISOR_LOST = "process/supervisor-lost";

/**
 * Whether an error of `hello` means that somebody is there with whom there is no talking: it hangs, or belongs to
 * another version of flowctl. What it runs can be taken over by another one in its place.
 */
export function isUnusable(error: unknown): boolean {
  return hasCode(error, SUPERVISOR_LOST) || hasCode(error, PROTOCOL_MISMATCH);
}

/** Talks to supervisors, by their sockets. Connections are kept for a moment: a command has several requests. */
export interface SupervisorClient {
  /** Asks who is there. Rejects as `request`. */
  hello(sockets: SupervisorSockets, signal: AbortSignal, deadlineMs: number): Promise<SupervisorHello>;
  /**
   * Sends one request to a supervisor and returns its answer. Rejects with NO_SUPERVISOR, SUPERVISOR_LOST,
   * PROTOCOL_MISMATCH, kind `cancelled` when the signal fires, or what the supervisor threw.
   */
  request<Request, Response>(
    sockets: SupervisorSockets,
    method: Method<Request, Response>,
    message: Partial<Request>,
    options: RequestOptions,
  ): Promise<Response>;
  /**
   * Sends one request and gives what it is answered with, without end: rejects as `request`, with SUPERVISOR_LOST when the
   * supervisor ends the stream.
   */
  stream<Request, Response>(
    sockets: SupervisorSockets,
    method: Method<Request, Response>,
    message: Partial<Request>,
    options: RequestOptions,
  ): AsyncGenerator<Response>;
}

/** Milliseconds for which a connection is kept that nobody uses. It holds no process alive. */
const IDLE_MS = 1_000;

/** A connection, and how many requests are under way on it. */
interface Connection extends SupervisorChannel {
  users: number;
  idle?: NodeJS.Timeout;
}

/** One request on its way. */
interface Call {
  readonly channel: SupervisorChannel;
  /** Fires with the signal, or at the deadline. */
  readonly limit: AbortSignal;
  /** What to throw for a call that failed; `hasBegun` when the answer had begun. */
  explained(error: unknown, hasBegun?: boolean): Promise<unknown>;
  end(): void;
}

export function createSupervisorClient(): SupervisorClient {
  const connections = new Map<string, Connection>();

  /**
   * A connection to a supervisor that has said something: gRPC does not let go of one on which nobody says anything, does not
   * tell why there is none, and takes time to load.
   */
  const connected = async (sockets: SupervisorSockets, path: string, limit: AbortSignal): Promise<Connection> => {
    assertPrivateSocket(sockets.socket);
    if (!connections.has(sockets.socket)) {
      const listener = await listenerBehind(sockets, limit);
      if (listener !== "alive") throw notSpokenTo(listener, path);
    }
    const { openChannel } = await import("./supervisor-channel.ts");
    const known = connections.get(sockets.socket);
    if (known !== undefined) return known;
    const made = { ...openChannel(sockets.socket), users: 0 };
    connections.set(sockets.socket, made);
    return made;
  };

  const forget = (sockets: SupervisorSockets, connection: Connection): void => {
    if (connections.get(sockets.socket) === connection) connections.delete(sockets.socket);
  };

  const release = (sockets: SupervisorSockets, connection: Connection): void => {
    connection.users--;
    if (connection.users > 0) return;
    const close = (): void => {
      forget(sockets, connection);
      connection.close();
    };
    if (connections.get(sockets.socket) === connection) connection.idle = setTimeout(close, IDLE_MS).unref();
    else close();
  };

  const begin = async (
    sockets: SupervisorSockets,
    path: string,
    { signal, deadlineMs }: RequestOptions,
  ): Promise<Call> => {
    if (signal.aborted) throw cancelled(signal);
    const over = new AbortController();
    const limit = over.signal;
    const stop = (): void => over.abort();
    const timer = deadlineMs === undefined ? undefined : setTimeout(stop, deadlineMs);
    signal.addEventListener("abort", stop, { once: true });
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    };
    let connection: Connection;
    try {
      connection = await connected(sockets, path, limit);
    } catch (error) {
      settle();
      if (signal.aborted) throw cancelled(signal);
      throw error instanceof FlowctlError ? error : lost(path, error);
    }
    connection.users++;
    clearTimeout(connection.idle);
    return {
      channel: connection,
      limit,
      async explained(error, hasBegun = false) {
        if (signal.aborted) return cancelled(signal);
        const { meaningOf } = await import("./supervisor-channel.ts");
        const meaning = meaningOf(error, sockets.socket);
        if (meaning !== undefined) return meaning;
        forget(sockets, connection);
        if (limit.aborted || hasBegun) return lost(path, error);
        return notSpokenTo(await listenerBehind(sockets, limit).catch(() => "silent" as const), path, error);
      },
      end() {
        settle();
        release(sockets, connection);
      },
    };
  };

  const request: SupervisorClient["request"] = async (sockets, method, message, options) => {
    const { channel, limit, explained, end } = await begin(sockets, method.path, options);
    try {
      return await channel.unary(method, message, limit);
    } catch (error) {
      throw await explained(error);
    } finally {
      end();
    }
  };

  return {
    request,
    hello: (sockets, signal, deadlineMs) => request(sockets, supervisorService.hello, {}, { signal, deadlineMs }),
    async *stream(sockets, method, message, options) {
      const { channel, limit, explained, end } = await begin(sockets, method.path, options);
      let hasBegun = false;
      const onBegin = (): void => {
        hasBegun = true;
      };
      try {
        yield* channel.stream(method, message, limit, onBegin);
        throw lost(method.path);
      } catch (error) {
        throw await explained(error, hasBegun);
      } finally {
        end();
      }
    },
  };
}

function notSpokenTo(listener: Listener, path: string, cause?: unknown): FlowctlError {
  if (listener === "nobody") return noSupervisor(cause);
  return listener === "former" ? protocolMismatch(cause) : lost(path, cause);
}

function noSupervisor(cause: unknown): FlowctlError {
  return new FlowctlError({
    code: NO_SUPERVISOR,
    kind: "unavailable",
    message: "The supervisor of the pipeline is not running",
    fix: "Run `flowctl up`",
    cause,
  });
}

function lost(path: string, cause?: unknown): FlowctlError {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return new FlowctlError({
    code: SUPERVISOR_LOST,
    kind: "unavailable",
    message: `Lost the connection to the supervisor, or the request timed out: ${name}`,
    fix: "Run the command again; check its last output with `flowctl logs control-plane`",
    cause,
  });
}
