import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import { fromServiceError } from "../../../protocol/grpc-errors.ts";
import type { Method } from "../../../protocol/service-methods.ts";
import { protocolMismatch } from "./protocol-version.ts";
import { MAX_REQUEST_BYTES } from "./supervisor-messages.ts";

/** One gRPC connection to a supervisor. What fails throws what gRPC does; `meaningOf` says what that means. */
export interface SupervisorChannel {
  unary<Request, Response>(
    method: Method<Request, Response>,
    message: Partial<Request>,
    limit: AbortSignal,
  ): Promise<Response>;
  /** `onBegin` is called when the supervisor has begun to answer. */
  stream<Request, Response>(
    method: Method<Request, Response>,
    message: Partial<Request>,
    limit: AbortSignal,
    onBegin: () => void,
  ): AsyncGenerator<Response>;
  /** What is under way goes on. */
  close(): void;
}

const options = {
  // Each has a connection of its own: what one found out must not keep the next one from looking again.
  "grpc.use_local_subchannel_pool": 1,
  // Half-sent requests are not repeated behind the caller's back; whoever calls decides.
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_channelz": 0,
} as const;

/** Connects at the first call. */
export function openChannel(socketPath: string): SupervisorChannel {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), options);
  return {
    unary: ({ path, request, response }, message, limit) =>
      new Promise((resolve, reject) => {
        const { encode } = request;
        const call = client.makeUnaryRequest(path, encode, response.decode, message, new Metadata(), (error, answer) =>
          error === null ? resolve(answer as NonNullable<typeof answer>) : reject(error),
        );
        limit.addEventListener("abort", () => call.cancel(), { once: true });
      }),
    async *stream<Request, Response>(
      { path, request, response }: Method<Request, Response>,
      message: Partial<Request>,
      limit: AbortSignal,
      onBegin: () => void,
    ) {
      const call = client.makeServerStreamRequest(path, request.encode, response.decode, message, new Metadata());
      limit.addEventListener("abort", () => call.cancel(), { once: true });
      call.once("metadata", onBegin);
      try {
        yield* call as AsyncIterable<Response>;
      } finally {
        // The cancelled status that follows is nobody's any more.
        call.on("error", () => undefined);
        call.cancel();
      }
    },
    close: () => client.close(),
  };
}

/** What the supervisor said, or how it was misunderstood; undefined when the connection broke. */
export function meaningOf(error: unknown, socketPath: string): unknown {
  if (!isServiceError(error)) return error;
  if (error.code === status.UNIMPLEMENTED) return protocolMismatch(error);
  if (error.code === status.RESOURCE_EXHAUSTED) return tooLarge(error);
  const told = fromServiceError(error, socketPath);
  return error.code === status.CANCELLED || hasCode(told, "client/unreachable") ? undefined : told;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "metadata" in error;
}

function tooLarge(cause: unknown): FlowctlError {
  return new FlowctlError({
    code: "process/bad-request",
    kind: "invalid",
    message: `What one component is granted is larger than the ${MAX_REQUEST_BYTES / 1024 / 1024} MiB that the supervisor takes`,
    fix: "Give large files to the component by their paths instead of as secrets or configs",
    cause,
  });
}
