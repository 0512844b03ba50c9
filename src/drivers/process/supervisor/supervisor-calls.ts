import { type handleServerStreamingCall, type handleUnaryCall, Metadata } from "@grpc/grpc-js";
import { FlowctlError } from "../../../foundation/errors.ts";
import { linkedSignal } from "../../../foundation/linked-signal.ts";
import { toStatus } from "../../../protocol/grpc-errors.ts";
import { drained } from "../../../protocol/server.ts";
import type { Method } from "../../../protocol/service-methods.ts";

/** A method with one answer: what `handle` returns, or the status of what it throws. The signal fires when the client is gone. */
export function one<Request, Response>(
  _method: Method<Request, Response>,
  handle: (request: Request, signal: AbortSignal) => Partial<Response> | Promise<Partial<Response>>,
): handleUnaryCall<Request, Partial<Response>> {
  return (call, callback) => {
    const gone = new AbortController();
    call.once("cancelled", () => gone.abort());
    Promise.resolve()
      .then(() => handle(call.request, gone.signal))
      .then(
        (response) => callback(null, response),
        (error: unknown) => callback(statusOf(error)),
      );
  };
}

/**
 * A method that answers with a stream without end: what `handle` yields is sent, no faster than the client takes it, until
 * the client is gone or `stopping` fires; the signal then fires, too.
 */
export function answers<Request, Response>(
  _method: Method<Request, Response>,
  handle: (request: Request, signal: AbortSignal) => AsyncIterable<Partial<Response>>,
  stopping: AbortSignal,
): handleServerStreamingCall<Request, Partial<Response>> {
  return (call) => {
    const gone = new AbortController();
    for (const event of ["cancelled", "close", "error"]) call.once(event, () => gone.abort());
    const linked = linkedSignal(gone.signal, stopping);
    const { signal } = linked;
    // So that the client knows it to have begun.
    call.sendMetadata(new Metadata());
    const send = async (): Promise<void> => {
      for await (const message of handle(call.request, signal)) {
        if (signal.aborted) return;
        if (!call.write(message)) await drained(call, signal);
      }
    };
    send()
      .then(
        () => call.end(),
        (error: unknown) => (signal.aborted ? call.end() : call.emit("error", statusOf(error))),
      )
      .finally(() => linked.release());
  };
}

function statusOf(error: unknown): ReturnType<typeof toStatus> {
  return toStatus(
    FlowctlError.wrap(error, {
      code: "process/supervisor-defect",
      kind: "internal",
      message: "The supervisor failed",
    }),
  );
}
