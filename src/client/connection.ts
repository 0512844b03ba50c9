import { Client, type ClientDuplexStream, type ClientReadableStream, Metadata, type ServiceError } from "@grpc/grpc-js";
import { FlowctlError } from "../foundation/errors.ts";
import type { Name } from "../identity/names.ts";
import { channelCredentials, channelIdentityOptions } from "../identity/tls-credentials.ts";
import type { IdentitySource } from "../identity/tls-identity.ts";
import { clientChannelOptions } from "../protocol/channel-options.ts";
import { ended, fromServiceError } from "../protocol/grpc-errors.ts";
import type { Method } from "../protocol/service-methods.ts";

/** One channel to a peer. It connects at the first call, and by itself again whenever it broke. */
export interface Connection {
  /** Rejects with what the server threw, with `client/unreachable`, or as cancelled once the signal fires. */
  call<Request, Response>(
    method: Method<Request, Response>,
    request: Partial<Request>,
    signal: AbortSignal,
  ): Promise<Response>;
  /**
   * Ends when the signal fires or when the server ends a `finite` stream; throws otherwise, also when the server ends
   * a stream that should go on.
   */
  stream<Request, Response>(
    method: Method<Request, Response>,
    request: Partial<Request>,
    options: { readonly finite: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<Response>;
  /**
   * Sends the requests, no faster than the server takes them, and yields what it answers until it ends the stream. Throws what the
   * server or `requests` threw, and as cancelled once the signal fires. Leaving the loop ends the call.
   */
  exchange<Request, Response>(
    method: Method<Request, Response>,
    requests: AsyncIterable<Partial<Request>>,
    signal: AbortSignal,
  ): AsyncGenerator<Response>;
  /** Ends every call. Idempotent. */
  close(): void;
}

/**
 * `address` is `host:port` of a control plane, as anything that gRPC resolves. With an identity nobody else is spoken to. After a change of
 * it calls go over a new connection; those that are under way go on over the old one.
 */
export function connect(address: string, identity?: IdentitySource): Connection {
  const open = (): Client => {
    const controlPlane: Name = { role: "control-plane", pipeline: identity?.name.pipeline ?? "" };
    const options = { ...clientChannelOptions(), ...channelIdentityOptions(identity, controlPlane) };
    return new Client(address, channelCredentials(identity, controlPlane), options);
  };
  let client = open();
  const forget = identity?.onChange(() => {
    const before = client;
    client = open();
    before.close();
  });
  return {
    call: (method, request, signal) => unary(client, address, method, request, signal),
    stream: (method, request, options, signal) => serverStream(client, address, method, request, options, signal),
    exchange: (method, requests, signal) => exchange(client, address, method, requests, signal),
    close: () => {
      forget?.();
      client.close();
    },
  };
}

function unary<Request, Response>(
  client: Client,
  address: string,
  method: Method<Request, Response>,
  request: Partial<Request>,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(ended(signal, address));
    const call = client.makeUnaryRequest<Partial<Request>, Response>(
      method.path,
      method.request.encode,
      method.response.decode,
      request,
      new Metadata(),
      (error, response) => {
        signal.removeEventListener("abort", onAbort);
        if (error !== null) reject(fromServiceError(error, address, signal));
        else resolve(response as Response);
      },
    );
    const onAbort = (): void => call.cancel();
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

async function* serverStream<Request, Response>(
  client: Client,
  address: string,
  method: Method<Request, Response>,
  request: Partial<Request>,
  options: { readonly finite: boolean },
  signal: AbortSignal,
): AsyncGenerator<Response> {
  if (signal.aborted) return;
  const call: ClientReadableStream<Response> = client.makeServerStreamRequest<Partial<Request>, Response>(
    method.path,
    method.request.encode,
    method.response.decode,
    request,
    new Metadata(),
  );
  const onAbort = (): void => call.cancel();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const message of call as AsyncIterable<Response>) yield message;
    if (!options.finite && !signal.aborted) {
      throw new FlowctlError({
        code: "client/stream-ended",
        kind: "unavailable",
        message: `${address} closed the stream ${method.path}`,
      });
    }
  } catch (error) {
    if (signal.aborted) return;
    throw isServiceError(error) ? fromServiceError(error, address, signal) : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    // The cancelled status that follows is nobody's any more.
    call.on("error", () => undefined);
    call.cancel();
  }
}

async function* exchange<Request, Response>(
  client: Client,
  address: string,
  method: Method<Request, Response>,
  requests: AsyncIterable<Partial<Request>>,
  signal: AbortSignal,
): AsyncGenerator<Response> {
  if (signal.aborted) throw ended(signal, address);
  const call = client.makeBidiStreamRequest<Partial<Request>, Response>(
    method.path,
    method.request.encode,
    method.response.decode,
    new Metadata(),
  );
  const onAbort = (): void => call.cancel();
  signal.addEventListener("abort", onAbort, { once: true });
  let failure: { readonly error: unknown } | undefined;
  void sendAll(call, requests).catch((error: unknown) => {
    failure ??= { error };
    call.cancel();
  });
  try {
    yield* call.iterator({ destroyOnReturn: false }) as AsyncIterable<Response>;
  } catch (error) {
    if (failure !== undefined) throw failure.error;
    throw isServiceError(error) ? fromServiceError(error, address, signal) : error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    call.on("error", () => undefined);
    call.cancel();
  }
}

async function sendAll<Request>(
  call: ClientDuplexStream<Partial<Request>, unknown>,
  requests: AsyncIterable<Partial<Request>>,
): Promise<void> {
  let isClosed = false;
  for (const event of ["close", "error"]) {
    call.once(event, () => {
      isClosed = true;
    });
  }
  for await (const request of requests) {
    if (isClosed) return;
    if (!call.write(request) && !isClosed) await drained(call);
  }
  call.end();
}

/** Resolves when more may be written, or nobody takes anything any more. */
function drained(call: ClientDuplexStream<never, unknown>): Promise<void> {
  const events = ["drain", "close", "error"];
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) call.off(event, done);
      resolve();
    };
    for (const event of events) call.on(event, done);
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "metadata" in error;
}
