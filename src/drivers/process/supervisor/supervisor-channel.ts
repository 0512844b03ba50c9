import { status } from "@grpc/grpc-js";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import { fromServiceError, isServiceError } from "../../../protocol/grpc-errors.ts";
import { protocolMismatch } from "./protocol-version.ts";
import { MAX_REQUEST_BYTES } from "./supervisor-messages.ts";

export { openChannel, type SocketChannel as SupervisorChannel } from "../../socket-channel.ts";

/** What the supervisor said, or how it was misunderstood; undefined when the connection broke. */
export function meaningOf(error: unknown, socketPath: string): unknown {
  if (!isServiceError(error)) return error;
  if (error.code === status.UNIMPLEMENTED) return protocolMismatch(error);
  if (error.code === status.RESOURCE_EXHAUSTED) return tooLarge(error);
  const told = fromServiceError(error, socketPath);
  return error.code === status.CANCELLED || hasCode(told, "client/unreachable") ? undefined : told;
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
