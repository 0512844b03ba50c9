import { setMaxListeners } from "node:events";
import { type ChannelOptions, Client, credentials, Metadata } from "@grpc/grpc-js";
import type { Method } from "../protocol/service-methods.ts";

/** One gRPC connection over a Unix socket. What fails throws what gRPC does. */
export interface SocketChannel {
  unary<Request, Response>(
    method: Method<Request, Response>,
    message: Partial<Request>,
    limit: AbortSignal,
  ): Promise<Response>;
  /** `onBegin` is called when the server has begun to answer. */
  stream<Request, Response>(
    method: Method<Request, Response>,
    message: Partial<Request>,
    limit: AbortSignal,
    onBegin: () => void,
  ): AsyncGenerator<Response>;
  /** What is under way goes on. */
  close(): void;
}

const common = {
  // Each has a connection of its own: what one found out must not keep the next one from looking again.
  "grpc.use_local_subchannel_pool": 1,
  // Half-sent requests are not repeated behind the caller's back; whoever calls decides.
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_channelz": 0,
} as const;

/** Connects at the first call. */
export function openChannel(socketPath: string, options: ChannelOptions = {}): SocketChannel {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), { ...common, ...options });
  return {
    unary: ({ path, request, response }, message, limit) =>
      new Promise((resolve, reject) => {
        const { encode } = request;
        const call = client.makeUnaryRequest(
          path,
          encode,
          response.decode,
          message,
          new Metadata(),
          (error, answer) => {
            limit.removeEventListener("abort", cancel);
            if (error === null) resolve(answer as NonNullable<typeof answer>);
            else reject(error);
          },
        );
        const cancel = (): void => call.cancel();
        onAbort(limit, cancel);
      }),
    async *stream<Request, Response>(
      { path, request, response }: Method<Request, Response>,
      message: Partial<Request>,
      limit: AbortSignal,
      onBegin: () => void,
    ) {
      const call = client.makeServerStreamRequest(path, request.encode, response.decode, message, new Metadata());
      const cancel = (): void => call.cancel();
      onAbort(limit, cancel);
      call.once("metadata", onBegin);
      try {
        yield* call as AsyncIterable<Response>;
      } finally {
        limit.removeEventListener("abort", cancel);
        // The cancelled status that follows is nobody's any more.
        call.on("error", () => undefined);
        call.cancel();
      }
    },
    close: () => client.close(),
  };
}

/** Many calls at once under one signal are no leak: each takes its listener away. */
function onAbort(signal: AbortSignal, cancel: () => void): void {
  setMaxListeners(0, signal);
  signal.addEventListener("abort", cancel, { once: true });
}
