import type { handleServerStreamingCall, handleUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { FlowctlError } from "../foundation/errors.ts";
import type { Logger } from "../foundation/logger.ts";
import { toStatus } from "../protocol/grpc-errors.ts";

/** What every handler of the server shares. */
export interface HandlerContext {
  readonly log: Logger;
  /** Fires when the server closes; streams then end. */
  readonly stopping: AbortSignal;
}

/** A unary method: what `handle` returns is the answer, what it throws the status. */
export function unary<Request, Response>(
  context: HandlerContext,
  handle: (request: Request) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve()
      .then(() => handle(call.request))
      .then(
        (response) => callback(null, response),
        (error: unknown) => {
          reportDefect(context.log, call.getPath(), error);
          callback(toStatus(error));
        },
      );
  };
}

/**
 * A method that answers with a stream: what `handle` yields is sent, no faster than the client takes it. The signal fires
 * when the client goes away or the server closes; then the stream ends, whatever `handle` throws because of it.
 */
export function serverStream<Request, Response>(
  context: HandlerContext,
  handle: (request: Request, signal: AbortSignal) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const gone = new AbortController();
    call.once("cancelled", () => gone.abort());
    call.once("close", () => gone.abort());
    call.once("error", () => gone.abort());
    const signal = AbortSignal.any([gone.signal, context.stopping]);
    pump(call, () => handle(call.request, signal), signal).then(
      () => call.end(),
      (error: unknown) => {
        if (signal.aborted) call.end();
        else {
          reportDefect(context.log, call.getPath(), error);
          call.emit("error", toStatus(error));
        }
      },
    );
  };
}

async function pump<Request, Response>(
  call: ServerWritableStream<Request, Response>,
  open: () => AsyncIterable<Response>,
  signal: AbortSignal,
): Promise<void> {
  for await (const message of open()) {
    if (signal.aborted) return;
    if (!call.write(message)) await drained(call, signal);
  }
}

function drained<Request, Response>(call: ServerWritableStream<Request, Response>, signal: AbortSignal): Promise<void> {
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

/** Clients get the message; only here is the stack. */
function reportDefect(log: Logger, path: string, error: unknown): void {
  if (error instanceof FlowctlError && error.kind !== "internal") return;
  log.error("internal error of the control plane in a call", { path, err: error });
}
