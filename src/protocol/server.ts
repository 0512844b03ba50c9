import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Writable } from "node:stream";
import { Server, type ServerOptions } from "@grpc/grpc-js";

/** What grpc-js looks at first of every stream: whether it goes on with it. */
interface LooksAtStreams {
  _verifyContentType(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean;
}

/**
 * A gRPC server. With TLS Node.js can tell of a stream whose connection is gone already; grpc-js 1.14 would answer what is wrong with such
 * a stream, which throws where nobody catches it, and ends the program.
 */
export function createGrpcServer(options: ServerOptions): Server {
  const server = new Server(options);
  const inner = server as unknown as LooksAtStreams;
  const look = inner._verifyContentType.bind(server);
  inner._verifyContentType = (stream, headers) => !stream.destroyed && look(stream, headers);
  return server;
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
