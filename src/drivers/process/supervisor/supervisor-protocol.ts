import { lstatSync } from "node:fs";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { FlowctlError, type FlowctlErrorOptions } from "../../../foundation/errors.ts";
import type { Change, DriverEvent, ProgressEvent } from "../../driver.ts";

/**
 * How commands talk to the supervisor: one connection to its unix socket for each request; a line of JSON with the
 * request, then lines of JSON with replies, the last one `done` or `error`. Closing the connection before that cancels
 * the request.
 */
export const PROTOCOL_VERSION = 1;

/** Code of the error that answers a request of another version. */
export const PROTOCOL_MISMATCH = "process/protocol-mismatch";

export type SupervisorRequest =
  /** Answered as soon as the supervisor is ready, with SupervisorHello. */
  | { readonly method: "hello" }
  /** Carries out one change of a component instance. */
  | {
      readonly method: "apply";
      readonly change: Change;
      readonly force: boolean;
      /** Base64 by key; only what the component is granted. */
      readonly secrets: Readonly<Record<string, string>>;
      readonly configs: Readonly<Record<string, string>>;
    }
  /** Replies with an `event` for each DriverEvent since then (Unix milliseconds), without end. */
  | { readonly method: "events"; readonly since: number }
  /** Ends the supervisor once it has answered; with `instances` everything it runs before that. */
  | { readonly method: "shutdown"; readonly instances: "keep" | "stop" | "kill" };

export interface SupervisorHello {
  readonly version: string;
  readonly pid: number;
  /** `host:port`. */
  readonly grpc: string;
  /** Base URL. */
  readonly http: string;
  /** Everybody who dials needs a certificate of the pipeline's authority. */
  readonly secure: boolean;
}

export type SupervisorReply =
  | { readonly type: "progress"; readonly progress: ProgressEvent }
  | { readonly type: "event"; readonly event: DriverEvent }
  | { readonly type: "done"; readonly result?: unknown }
  | { readonly type: "error"; readonly error: WireError };

export type WireError = Omit<FlowctlErrorOptions, "cause" | "position">;

/** A request as it stands on the wire. */
export type RequestFrame = SupervisorRequest & { readonly v: number };

export function toWireError(error: unknown): WireError {
  const wrapped = FlowctlError.wrap(error, {
    code: "process/supervisor-defect",
    kind: "internal",
    message: "The supervisor failed",
  });
  const { code, kind, message, fix, path } = wrapped;
  return { code, kind, message, ...(fix === undefined ? {} : { fix }), ...(path === undefined ? {} : { path }) };
}

/** A line may have so many characters: secrets and configs that a component is granted, in base64, and what is around them. */
const MAX_LINE = 64 * 1024 * 1024;

/**
 * Calls back with each JSON value that comes over a connection, one a line, in order; `onBroken`, once, with why what came is none,
 * or is longer than a line may be: what follows is passed over. The connection is read on whatever the callbacks do, so that its
 * end is noticed.
 */
export function onFrames(socket: Socket, onFrame: (frame: unknown) => void, onBroken: (error: unknown) => void): void {
  let parts: string[] = [];
  let length = 0;
  let isBroken = false;
  const take = (piece: string): void => {
    length += piece.length;
    if (length > MAX_LINE) throw tooLong();
    parts.push(piece);
  };
  const read = (chunk: string): void => {
    let from = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", from)) {
      take(chunk.slice(from, end));
      const line = parts.join("");
      parts = [];
      length = 0;
      from = end + 1;
      if (line !== "") onFrame(JSON.parse(line));
    }
    if (from < chunk.length) take(chunk.slice(from));
  };
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    if (isBroken) return;
    try {
      read(chunk);
    } catch (error) {
      isBroken = true;
      parts = [];
      onBroken(error);
    }
  });
}

function tooLong(): FlowctlError {
  const message = `A line of more than ${MAX_LINE} characters came over the supervisor's socket`;
  return new FlowctlError({ code: "process/bad-request", kind: "invalid", message });
}

export function writeFrame(socket: Socket, frame: RequestFrame | SupervisorReply): void {
  if (socket.writable) socket.write(`${JSON.stringify(frame)}\n`);
}

/**
 * Throws `process/socket-not-private` when a socket lies right under /tmp (see pipelinePaths) in a folder that is
 * somebody else's or open to others: whoever made it could be behind the socket, and secrets go through it. A folder
 * that is missing is no error.
 */
export function assertPrivateSocket(socketPath: string): void {
  const folder = dirname(socketPath);
  if (dirname(folder) !== "/tmp") return;
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0) return;
  throw new FlowctlError({
    code: "process/socket-not-private",
    kind: "denied",
    message: `${folder} belongs to another user, or other users have access to it`,
    fix: "Remove it, or set FLOWCTL_HOME to a shorter path so that the socket fits inside it",
  });
}
