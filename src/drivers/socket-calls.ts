import { type handleServerStreamingCall, type handleUnaryCall, Metadata } from "@grpc/grpc-js";
import { FlowctlError, type FlowctlErrorOptions } from "../foundation/errors.ts";
import { linkedSignal } from "../foundation/linked-signal.ts";
import { toStatus } from "../protocol/grpc-errors.ts";
import { drained, isOverdue } from "../protocol/server.ts";
import type { Method } from "../protocol/service-methods.ts";

/** How the methods of a service of flowctl's own are served. */
export interface SocketCalls {
  /** A method with one answer: what `handle` returns, or the status of what it throws. The signal fires when the client is gone. */
  one<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request, signal: AbortSignal) => Partial<Response> | Promise<Partial<Response>>,
  ): handleUnaryCall<Request, Partial<Response>>;
  /**
   * A method that answers with a stream without end: what `handle` yields is sent, no faster than the client takes it, until
   * the client is gone or `stopping` fires; the signal then fires, too.
   */
  answers<Request, Response>(
    method: Method<Request, Response>,
    handle: (request: Request, signal: AbortSignal) => AsyncIterable<Partial<Response>>,
    stopping: AbortSignal,
  ): handleServerStreamingCall<Request, Partial<Response>>;
}

/** @param defect what is said of an error that is no FlowctlError. */
export function socketCalls(defect: FlowctlErrorOptions): SocketCalls {
  const statusOf = (error: unknown): ReturnType<typeof toStatus> => toStatus(FlowctlError.wrap(error, defect));
  return {
    one: (_method, handle) => (call, callback) => {
      const gone = new AbortController();
      call.once("cancelled", () => gone.abort());
      Promise.resolve()
        .then(() => handle(call.request, gone.signal))
        .then(
          (response) => callback(null, response),
          (error: unknown) => callback(statusOf(error)),
        );
    },
    answers: (_method, handle, stopping) => (call) => {
      if (isOverdue(call)) return void call.end();
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
    },
  };
}
