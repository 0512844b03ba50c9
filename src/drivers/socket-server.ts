import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { logVerbosity, type Server, ServerCredentials, type ServerOptions, setLogVerbosity } from "@grpc/grpc-js";
import { createGrpcServer } from "../protocol/server.ts";

/** Milliseconds that answers get at the end, to whoever does not take them. */
const CLOSE_GRACE_MS = 1_000;

/** A gRPC server for a Unix socket of flowctl's own. */
export function createSocketServer(options: ServerOptions): Server {
  // The library would print what is thrown as well.
  setLogVerbosity(logVerbosity.NONE);
  // Channelz stays on: without it grpc-js 1.14 keeps no list of sessions, and a forced shutdown ends none of them.
  return createGrpcServer(options);
}

/** Makes way for a socket: its folder is there, and what lies in its place is not. `check` may refuse the folder. */
export function clearSocket(path: string, check: (path: string) => void = () => undefined): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  check(path);
  rmSync(path, { force: true });
}

/** Listens on a socket that only the user of this process may open. */
export function listenPrivately(server: Server, path: string): Promise<void> {
  return privately(path, (done) => server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), done));
}

/** Resolves once only the user may open the socket that `listen` makes. */
async function privately(path: string, listen: (done: (error: Error | null) => void) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    listen((error) => (error === null ? resolve() : reject(error)));
  });
  chmodSync(path, 0o600);
}

/** Resolves when what is under way has been answered, or was given the time for that. */
export async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    // A connection in which an answer is stuck is not waited for.
    const force = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, CLOSE_GRACE_MS);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}
