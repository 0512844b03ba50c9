import { causesOf, FlowctlError } from "./errors.ts";

const CODES: ReadonlySet<unknown> = new Set([
  // A disk, or what holds files open, refuses: whatever is written.
  ...["ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EMFILE", "ENFILE"],
  // A peer cannot be reached, or has gone.
  ...["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN"],
  // Its name does not resolve, as that of a container does not while it is stopped.
  ...["ENOTFOUND", "EAI_AGAIN"],
  // The same, as fetch says it.
  ...["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_SOCKET"],
]);

/**
 * PostgreSQL's classes for lost connections (08), used up resources (53), a server that stops or starts (57P), and a broken
 * disk. Without 08P01: that is also said of a statement with the wrong number of values.
 */
const SQLSTATE = /^(?:08(?!P01)...|53...|57P..|58030)$/;

/** gRPC's number for a service that cannot be reached. */
const GRPC_UNAVAILABLE = 14;

/**
 * Whether `error`, or what caused it, says that what is outside (a disk, a peer, a service) is away or can take nothing now,
 * whatever it is given: so that nothing that was to be read or written is to blame. Understands the codes of Node.js,
 * PostgreSQL and gRPC. A FlowctlError says it by its kind: `unavailable` that it is so, `invalid` that the content is to
 * blame, whatever the cause; with any other its cause decides.
 */
export function isOutage(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    if (cause instanceof FlowctlError) {
      if (cause.kind === "unavailable") return true;
      if (cause.kind === "invalid") return false;
    } else if (cause instanceof Error && saysAway(cause)) return true;
  }
  return false;
}

function saysAway(error: Error & { readonly code?: unknown; readonly syscall?: unknown }): boolean {
  const { code, syscall } = error;
  if (typeof code === "string" && (CODES.has(code) || SQLSTATE.test(code))) return true;
  // No connection came about, for whatever reason: the socket's file is missing, say.
  if (syscall === "connect") return true;
  return code === GRPC_UNAVAILABLE && "metadata" in error;
}
