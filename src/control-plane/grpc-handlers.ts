import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  ServerDuplexStream,
  ServerWritableStream,
} from "@grpc/grpc-js";
import { FlowctlError } from "../foundation/errors.ts";
import { linkedSignal } from "../foundation/linked-signal.ts";
import type { Logger } from "../foundation/logger.ts";
import type { Peer } from "../identity/peer.ts";
import { type Authenticated, peerOfCall } from "../identity/peer-of-call.ts";
import { toStatus } from "../protocol/grpc-errors.ts";
import { drained, isOverdue } from "../protocol/server.ts";

/** What every handler of the server shares. */
export interface HandlerContext {
  readonly log: Logger;
  /** Fires when the server closes; streams then end. */
  readonly stopping: AbortSignal;
  /** The pipeline has an identity: a call of nobody is refused. */
  readonly secure: boolean;
}

/** Who calls, and how. */
export interface Caller {
  /** The address that was dialled. */
  readonly authority: string;
  /** By the certificate of the connection; undefined in the clear. */
  readonly peer: Peer | undefined;
}

/** A unary method: what `handle` returns is the answer, what it throws the status. */
export function unary<Request, Response>(
  context: HandlerContext,
  handle: (request: Request, caller: Caller) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve()
      .then(() => handle(call.request, callerOf(context, call)))
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
 * when the client goes away or the server closes; then the stream is broken off, whatever `handle` throws because of it.
 */
export function serverStream<Request, Response>(
  context: HandlerContext,
  handle: (request: Request, signal: AbortSignal, caller: Caller) => AsyncIterable<Response>,
): handleServerStreamingCall<Request, Response> {
  return (call) => answer(context, call, (signal) => handle(call.request, signal, callerOf(context, call)));
}

/** The same for a method that is asked by a stream. It is over for the client once `handle` ends, whatever it has yet to say. */
export function bidiStream<Request, Response>(
  context: HandlerContext,
  handle: (requests: AsyncIterable<Request>, signal: AbortSignal) => AsyncIterable<Response>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => answer(context, call, (signal) => handle(call.iterator({ destroyOnReturn: false }), signal));
}

/**
 * A connection that has closed by now has no certificate any more, although its call was admitted by one: that is not to be taken for a
 * call in the clear, which may be about anybody.
 */
function callerOf({ secure }: HandlerContext, call: { getHost(): string } & Authenticated): Caller {
  const peer = peerOfCall(call);
  if (secure && peer === undefined) throw connectionGone();
  return { authority: call.getHost(), peer };
}

function connectionGone(): FlowctlError {
  return new FlowctlError({
    code: "identity/unauthenticated",
    kind: "unauthenticated",
    message: "the connection was closed before it was known whose it is",
  });
}

type AnswerStream<Request, Response> = ServerWritableStream<Request, Response> | ServerDuplexStream<Request, Response>;

function answer<Request, Response>(
  context: HandlerContext,
  call: AnswerStream<Request, Response>,
  handle: (signal: AbortSignal) => AsyncIterable<Response>,
): void {
  if (isOverdue(call)) return void call.end();
  const gone = new AbortController();
  for (const event of ["cancelled", "close", "error"]) call.once(event, () => gone.abort());
  const linked = linkedSignal(gone.signal, context.stopping);
  const { signal } = linked;
  // Nobody is to take what was cut short for what there is.
  const breakOff = (): void => void (gone.signal.aborted ? call.end() : call.emit("error", toStatus(stopping())));
  pump(call, () => handle(signal), signal)
    .then(
      () => (signal.aborted ? breakOff() : call.end()),
      (error: unknown) => {
        if (signal.aborted) breakOff();
        else {
          reportDefect(context.log, call.getPath(), error);
          call.emit("error", toStatus(error));
        }
      },
    )
    .finally(() => linked.release());
}

function stopping(): FlowctlError {
  const message = "the control plane is stopping";
  return new FlowctlError({ code: "control-plane/stopping", kind: "unavailable", message });
}

async function pump<Request, Response>(
  call: AnswerStream<Request, Response>,
  open: () => AsyncIterable<Response>,
  signal: AbortSignal,
): Promise<void> {
  for await (const message of open()) {
    if (signal.aborted) return;
    if (!call.write(message)) await drained(call, signal);
  }
}

/** Clients get the message; only here is the stack. */
function reportDefect(log: Logger, path: string, error: unknown): void {
  if (error instanceof FlowctlError && error.kind !== "internal") return;
  log.error("internal error of the control plane in a call", { path, err: error });
}
