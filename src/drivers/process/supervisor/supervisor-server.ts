import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import {
  assertPrivateSocket,
  onFrames,
  type SupervisorReply,
  type SupervisorRequest,
  toWireError,
  writeFrame,
} from "./supervisor-protocol.ts";
import { requestOf } from "./supervisor-request.ts";

/** Carries out one request; what it returns is the result. `reply` sends something ahead of that. */
export type RequestHandler = (
  request: SupervisorRequest,
  reply: (reply: SupervisorReply) => void,
  signal: AbortSignal,
) => Promise<unknown>;

export interface SupervisorServer {
  /** Removes the socket and takes no more requests; those that are under way go on. */
  refuse(): void;
  /** Ends what is under way. */
  close(): Promise<void>;
}

/**
 * Listens on the supervisor's unix socket, which only its user may open. Whoever calls this holds the pipeline's
 * lock, so that a socket file which is there already is a dead one's.
 */
export async function serveSupervisor(path: string, handle: RequestHandler): Promise<SupervisorServer> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
    serveConnection(socket, handle);
  });
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  assertPrivateSocket(path);
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        FlowctlError.wrap(error, {
          code: "process/no-socket",
          kind: "unavailable",
          message: `Cannot listen on ${path}`,
          fix: "Set FLOWCTL_HOME to a folder on a local file system",
        }),
      ),
    );
    server.listen(path, () => resolve());
  });
  chmodSync(path, 0o600);
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  return {
    refuse: () => server.close(),
    async close() {
      server.close();
      for (const socket of connections) socket.destroy();
      await closed;
    },
  };
}

function serveConnection(socket: Socket, handle: RequestHandler): void {
  const gone = new AbortController();
  // The other side leaving is how it cancels; there is nobody to tell of an error.
  socket.on("error", () => undefined);
  socket.once("close", () => gone.abort());
  const reply = (frame: SupervisorReply): void => writeFrame(socket, frame);
  const fail = (error: unknown): void => {
    reply({ type: "error", error: toWireError(error) });
    socket.end();
  };
  const answer = async (frame: unknown): Promise<void> => {
    const result = await handle(requestOf(frame), reply, gone.signal);
    reply({ type: "done", ...(result === undefined ? {} : { result }) });
    socket.end();
  };
  let asked = false;
  const onFrame = (frame: unknown): void => {
    if (asked) return;
    asked = true;
    answer(frame).catch(fail);
  };
  onFrames(socket, onFrame, fail);
}
