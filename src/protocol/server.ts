import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Writable } from "node:stream";
import { Server, type ServerOptions } from "@grpc/grpc-js";

/** What grpc-js looks at first of every stream: whether it goes on with it. */
interface LooksAtStreams {
  _verifyContentType(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean;
}

/**
 * A gRPC server that mends two things of grpc-js 1.14. With TLS Node.js can tell of a stream whose connection is gone already; grpc-js
 * would answer what is wrong with such a stream, which throws where nobody catches it, and ends the program. And where a message is too
 * long it ends the stream, and then writes what its call had been given before: Node.js takes that for a failure of the stream, and
 * whoever is at the other end would never hear how it ended.
 */
export function createGrpcServer(options: ServerOptions): Server {
  const server = new Server(options);
  const inner = server as unknown as LooksAtStreams;
  const look = inner._verifyContentType.bind(server);
  inner._verifyContentType = (stream, headers) => {
    if (stream.destroyed) return false;
    ignoreLateWrites(stream);
    return look(stream, headers);
  };
  return server;
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
