import { connect } from "node:net";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { PipelinePaths } from "../home/paths.ts";

/** Where a supervisor listens. */
export type SupervisorSocket = Pick<PipelinePaths, "socket">;

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

/** Who is behind a socket: nobody, somebody who says something, or somebody who does not. */
export type Listener = "nobody" | "alive" | "silent";

/**
 * Finds out by connecting: a server of gRPC speaks first. `silent` when the signal fires before that; rejects when the
 * connection fails.
 */
export function listenerBehind({ socket: path }: SupervisorSocket, signal: AbortSignal): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const done = (listener: Listener): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(listener);
    };
    const onAbort = (): void => done("silent");
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    socket.once("data", () => done("alive"));
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
