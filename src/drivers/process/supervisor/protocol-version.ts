import { connect, createServer, type Server } from "node:net";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { PipelinePaths } from "../home/paths.ts";

/** Where a supervisor listens, and where one of version 1 did. */
export type SupervisorSockets = Pick<PipelinePaths, "socket" | "formerSocket">;

/** Code of the error when a command and a supervisor speak different versions of their protocol. */
export const PROTOCOL_MISMATCH = "process/protocol-mismatch";

/** The error for both sides. */
export function protocolMismatch(cause?: unknown): FlowctlError {
  return new FlowctlError({
    code: PROTOCOL_MISMATCH,
    kind: "conflict",
    message: "Protocol version mismatch: the supervisor and this command belong to different versions of flowctl",
    fix: "Run `flowctl down`, then `flowctl up`, with the same version of flowctl",
    cause,
  });
}

/** Tells whoever connects, and knows version 1, in its words that this is another one. It is not listening yet. */
export function formerSocketServer(): Server {
  const { code, kind, message, fix } = protocolMismatch();
  const answer = `${JSON.stringify({ type: "error", error: { code, kind, message, fix } })}\n`;
  return createServer((socket) => {
    socket.on("error", () => undefined);
    // What it asks does not matter, only that it is read.
    socket.resume();
    socket.end(answer);
  });
}

/** Who is behind a socket: nobody, somebody who says something, somebody who does not, or a supervisor of version 1. */
export type Listener = "nobody" | "alive" | "silent" | "former";

/**
 * Finds out by connecting: a server of gRPC speaks first. `silent` when the signal fires before that; rejects when the
 * connection fails.
 */
export async function listenerBehind(sockets: SupervisorSockets, signal: AbortSignal): Promise<Listener> {
  const found = await listenerOf(sockets.socket, "data", signal);
  if (found !== "nobody" || (await listenerOf(sockets.formerSocket, "connect", signal)) !== "alive") return found;
  // One that began to listen after the first look listens there as well, but later.
  const again = await listenerOf(sockets.socket, "data", signal);
  return again === "nobody" ? "former" : again;
}

function listenerOf(
  path: string,
  sign: "connect" | "data",
  signal: AbortSignal,
): Promise<"nobody" | "alive" | "silent"> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const done = (listener: "nobody" | "alive" | "silent"): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(listener);
    };
    const onAbort = (): void => done("silent");
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    socket.once(sign, () => done("alive"));
    socket.once("close", () => done("silent"));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (isNobody(error)) done("nobody");
      else reject(error);
    });
  });
}

function isNobody({ code }: NodeJS.ErrnoException): boolean {
  return code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTDIR";
}
