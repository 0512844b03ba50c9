import { connect, type Socket } from "node:net";
import { cancelled } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import { createBroadcast } from "../../broadcast.ts";
import type { ProgressSink } from "../../driver.ts";
import {
  assertPrivateSocket,
  onFrames,
  PROTOCOL_MISMATCH,
  PROTOCOL_VERSION,
  type SupervisorHello,
  type SupervisorReply,
  type SupervisorRequest,
  type WireError,
  writeFrame,
} from "./supervisor-protocol.ts";

export interface RequestOptions {
  readonly signal: AbortSignal;
  readonly progress?: ProgressSink;
  /** Milliseconds until the answer; unlimited unless given. */
  readonly deadlineMs?: number;
}

/** Code of the error when nobody listens on the socket. */
export const NO_SUPERVISOR = "process/no-supervisor";
/** Code of the error when the supervisor went away, or did not answer in time, in the middle of a request. */
export const SUPERVISOR_LOST = "process/supervisor-lost";

/**
 * Whether an error of `hello` means that somebody is there with whom there is no talking: it hangs, or belongs to
 * another version of flowctl. What it runs can be taken over by another one in its place.
 */
export function isUnusable(error: unknown): boolean {
  return hasCode(error, SUPERVISOR_LOST) || hasCode(error, PROTOCOL_MISMATCH);
}

/**
 * Sends one request to the supervisor behind `socketPath` and returns its result. Rejects with NO_SUPERVISOR,
 * SUPERVISOR_LOST, kind `cancelled` when the signal fires, or what the supervisor answered.
 */
export async function request(socketPath: string, body: SupervisorRequest, options: RequestOptions): Promise<unknown> {
  for await (const reply of converse(socketPath, body, options)) {
    if (reply.type === "done") return reply.result;
    if (reply.type === "progress") options.progress?.(reply.progress);
  }
  throw lost(body);
}

/** Asks who is there. Rejects as `request`. */
export async function hello(socketPath: string, signal: AbortSignal, deadlineMs: number): Promise<SupervisorHello> {
  return (await request(socketPath, { method: "hello" }, { signal, deadlineMs })) as SupervisorHello;
}

/**
 * Sends one request and gives the replies up to the result. Rejects as `request`; with SUPERVISOR_LOST when the connection
 * ends before that.
 */
export async function* converse(
  socketPath: string,
  body: SupervisorRequest,
  options: RequestOptions,
): AsyncGenerator<SupervisorReply> {
  const { signal, deadlineMs } = options;
  if (signal.aborted) throw cancelled(signal);
  assertPrivateSocket(socketPath);
  const deadline = new AbortController();
  const timer = deadlineMs === undefined ? undefined : setTimeout(() => deadline.abort(), deadlineMs);
  const limit = AbortSignal.any([signal, deadline.signal]);
  const socket = connect(socketPath);
  const onAbort = (): void => {
    socket.destroy();
  };
  limit.addEventListener("abort", onAbort, { once: true });
  try {
    await connected(socket);
    const replies = repliesOf(socket);
    writeFrame(socket, { ...body, v: PROTOCOL_VERSION });
    for await (const reply of replies) {
      if (reply.type === "error") throw remoteError(reply.error);
      yield reply;
      if (reply.type === "done") return;
    }
    throw lost(body);
  } catch (error) {
    if (signal.aborted) throw cancelled(signal);
    if (error instanceof FlowctlError) throw error;
    throw lost(body, error);
  } finally {
    clearTimeout(timer);
    limit.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

/** Ends with the connection, however that ends. */
function repliesOf(socket: Socket): AsyncIterable<SupervisorReply> {
  const closed = new AbortController();
  const replies = createBroadcast<SupervisorReply>();
  const listening = replies.listen(closed.signal);
  onFrames(
    socket,
    (frame) => replies.emit(frame as SupervisorReply),
    () => socket.destroy(),
  );
  socket.once("close", () => closed.abort());
  return listening;
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("close", () => reject(new Error("closed")));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT" && error.code !== "ECONNREFUSED" && error.code !== "ENOTDIR") return reject(error);
      reject(
        new FlowctlError({
          code: NO_SUPERVISOR,
          kind: "unavailable",
          message: "The supervisor of the pipeline is not running",
          fix: "Run `flowctl up`",
          cause: error,
        }),
      );
    });
  });
}

function remoteError(error: WireError): FlowctlError {
  return new FlowctlError(error);
}

/** The error for a connection that ended in the middle of a request. */
export function lost(body: SupervisorRequest, cause?: unknown): FlowctlError {
  return new FlowctlError({
    code: SUPERVISOR_LOST,
    kind: "unavailable",
    message: `Lost the connection to the supervisor, or the request timed out: ${JSON.stringify(body.method)}`,
    fix: "Run the command again; check its last output with `flowctl logs control-plane`",
    ...(cause === undefined ? {} : { cause }),
  });
}
