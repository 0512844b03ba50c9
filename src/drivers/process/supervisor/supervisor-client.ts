import { cancelled } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import type { Method } from "../../../protocol/service-methods.ts";
import { assertPrivateSocket } from "./private-socket.ts";
import { type Listener, listenerBehind, PROTOCOL_MISMATCH, type SupervisorSocket } from "./protocol-version.ts";
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

/** Talks to supervisors, by their at. Connections are kept for a moment: a command has several requests. */
export interface SupervisorClient {
  /** Asks who is there. Rejects as `request`. */
  hello(at: SupervisorSocket, signal: AbortSignal, deadlineMs: number): Promise<SupervisorHello>;
  /**
   * Sends one request to a supervisor and returns its answer. Rejects with NO_SUPERVISOR, SUPERVISOR_LOST,
   * PROTOCOL_MISMATCH, kind `cancelled` when the signal fires, or what the supervisor threw.
   */
  request<Request, Response>(
    at: SupervisorSocket,
    method: Method<Request, Response>,
    message: Partial<Request>,
    options: RequestOptions,
  ): Promise<Response>;
  /**
   * Sends one request and gives what it is answered with, without end: rejects as `request`, with SUPERVISOR_LOST when the
   * supervisor ends the stream.
   */
  stream<Request, Response>(
    at: SupervisorSocket,
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
  const connected = async (at: SupervisorSocket, path: string, limit: AbortSignal): Promise<Connection> => {
    assertPrivateSocket(at.socket);
    if (!connections.has(at.socket)) {
      const listener = await listenerBehind(at, limit);
      if (listener !== "alive") throw notSpokenTo(listener, path);
    }
    const { openChannel } = await import("./supervisor-channel.ts");
    const known = connections.get(at.socket);
    if (known !== undefined) return known;
    const made = { ...openChannel(at.socket), users: 0 };
    connections.set(at.socket, made);
    return made;
  };

  const forget = (at: SupervisorSocket, connection: Connection): void => {
    if (connections.get(at.socket) === connection) connections.delete(at.socket);
  };

  const release = (at: SupervisorSocket, connection: Connection): void => {
    connection.users--;
    if (connection.users > 0) return;
    const close = (): void => {
      forget(at, connection);
      connection.close();
    };
    if (connections.get(at.socket) === connection) connection.idle = setTimeout(close, IDLE_MS).unref();
    else close();
  };

  const begin = async (at: SupervisorSocket, path: string, { signal, deadlineMs }: RequestOptions): Promise<Call> => {
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
      connection = await connected(at, path, limit);
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
        const meaning = meaningOf(error, at.socket);
        if (meaning !== undefined) return meaning;
        forget(at, connection);
        if (limit.aborted || hasBegun) return lost(path, error);
        return notSpokenTo(await listenerBehind(at, limit).catch(() => "silent" as const), path, error);
      },
      end() {
        settle();
        release(at, connection);
      },
    };
  };

  const request: SupervisorClient["request"] = async (at, method, message, options) => {
    const { channel, limit, explained, end } = await begin(at, method.path, options);
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
    hello: (at, signal, deadlineMs) => request(at, supervisorService.hello, {}, { signal, deadlineMs }),
    async *stream(at, method, message, options) {
      const { channel, limit, explained, end } = await begin(at, method.path, options);
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
  return listener === "nobody" ? noSupervisor(cause) : lost(path, cause);
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
