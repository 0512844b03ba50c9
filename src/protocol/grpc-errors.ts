import { Metadata, type ServiceError, type StatusObject, status } from "@grpc/grpc-js";
import { cancelled } from "../foundation/clock.ts";
import { type ErrorKind, FlowctlError, messageOf } from "../foundation/errors.ts";

/**
 * The error itself as JSON, so that it comes back on the other side as what it was. Clients in other languages find the
 * code alone in `flowctl-code`.
 */
const detailKey = "flowctl-error-bin";
const codeKey = "flowctl-code";

/** Bytes of a text in a status; what is longer is cut. */
const MAX_TEXT_BYTES = 1500;
/** HTTP/2 peers refuse header blocks of more than 8 KiB: bytes of the texts as they are encoded there; they are cut until they fit. */
const MAX_BLOCK_BYTES = 7 * 1024;

const statusOfKind: Readonly<Record<ErrorKind, status>> = {
  usage: status.INVALID_ARGUMENT,
  invalid: status.INVALID_ARGUMENT,
  "not-found": status.NOT_FOUND,
  conflict: status.FAILED_PRECONDITION,
  unavailable: status.UNAVAILABLE,
  denied: status.PERMISSION_DENIED,
  unauthenticated: status.UNAUTHENTICATED,
  timeout: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  failed: status.ABORTED,
  internal: status.INTERNAL,
};

const kindOfStatus: ReadonlyMap<status, ErrorKind> = new Map([
  [status.INVALID_ARGUMENT, "invalid"],
  [status.OUT_OF_RANGE, "invalid"],
  [status.NOT_FOUND, "not-found"],
  [status.UNIMPLEMENTED, "not-found"],
  [status.FAILED_PRECONDITION, "conflict"],
  [status.ALREADY_EXISTS, "conflict"],
  [status.UNAVAILABLE, "unavailable"],
  [status.RESOURCE_EXHAUSTED, "unavailable"],
  [status.PERMISSION_DENIED, "denied"],
  [status.UNAUTHENTICATED, "unauthenticated"],
  [status.DEADLINE_EXCEEDED, "timeout"],
  [status.CANCELLED, "cancelled"],
  [status.ABORTED, "failed"],
] satisfies [status, ErrorKind][]);

interface WireError {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly fix?: string;
  readonly path?: string;
}

/**
 * What a server answers for anything that was thrown: the gRPC status of the error's kind, its message as details, and
 * the error itself in the trailers. What is no FlowctlError is a defect and becomes `internal`.
 */
export function toStatus(error: unknown): Pick<StatusObject, "code" | "details" | "metadata"> {
  const known =
    error instanceof FlowctlError
      ? error
      : new FlowctlError({ code: "protocol/internal", kind: "internal", message: messageOf(error), cause: error });
  for (let most = MAX_TEXT_BYTES; ; most = Math.floor(most / 2)) {
    const wire: WireError = {
      code: known.code,
      kind: known.kind,
      message: cut(known.message, most),
      ...(known.fix === undefined ? {} : { fix: cut(known.fix, most) }),
      ...(known.path === undefined ? {} : { path: cut(known.path, most) }),
    };
    const detail = Buffer.from(JSON.stringify(wire));
    // As bytes in base64, and with each byte that is not ASCII as three.
    if (most > 0 && (detail.length * 4) / 3 + encodeURI(wire.message).length > MAX_BLOCK_BYTES) continue;
    const metadata = new Metadata();
    metadata.set(codeKey, wire.code);
    metadata.set(detailKey, detail);
    return { code: statusOfKind[wire.kind], details: wire.message, metadata };
  }
}

/**
 * The first bytes of a text, in whole characters, as a text that has an encoding: a half of a surrogate pair has none, and what
 * encodes a status would throw where nobody catches it.
 */
function cut(text: string, bytes: number): string {
  const encoded = Buffer.from(text.slice(0, bytes));
  let end = Math.min(bytes, encoded.length);
  while (end < encoded.length && (encoded[end]! & 0xc0) === 0x80) end--;
  return encoded.toString("utf8", 0, end);
}

/** Whether an error is one that a gRPC client throws. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "metadata" in error;
}

/** What a client throws for a failed call to `peer` (`host:port`, for the message). */
export function fromServiceError(error: ServiceError, peer: string, signal?: AbortSignal): FlowctlError {
  const carried = decodeCarried(error);
  if (carried !== undefined) return carried;
  if (error.code === status.CANCELLED && signal?.aborted) return ended(signal, peer);
  if (error.code === status.UNAVAILABLE) return unreachable(peer, error);
  return new FlowctlError({
    code: error.code === status.DEADLINE_EXCEEDED ? "client/timeout" : "client/call-failed",
    kind: kindOfStatus.get(error.code) ?? "internal",
    message: `the call to ${peer} failed: ${error.details || error.message}`,
    cause: error,
  });
}

/** The error of a call whose signal fired: out of time means that nobody answered, anything else that it was ended. */
export function ended(signal: AbortSignal, peer: string): FlowctlError {
  const reason: unknown = signal.reason;
  const timedOut = reason instanceof Error && reason.name === "TimeoutError";
  return timedOut ? unreachable(peer, reason) : cancelled(signal);
}

function unreachable(peer: string, cause: unknown): FlowctlError {
  return new FlowctlError({
    code: "client/unreachable",
    kind: "unavailable",
    message: `cannot connect to ${peer}`,
    cause,
  });
}

function decodeCarried(error: ServiceError): FlowctlError | undefined {
  const [value] = error.metadata?.get(detailKey) ?? [];
  const wire = Buffer.isBuffer(value) ? parse(value.toString("utf8")) : ofCode(error);
  return wire === undefined ? undefined : new FlowctlError({ ...wire, cause: error });
}

/** What a server in another language says by its code alone. */
function ofCode(error: ServiceError): WireError | undefined {
  const [code] = error.metadata?.get(codeKey) ?? [];
  if (typeof code !== "string" || code === "") return undefined;
  return { code, kind: kindOfStatus.get(error.code) ?? "internal", message: error.details || error.message };
}

/** Undefined for what another server may have put under our key. */
function parse(text: string): WireError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { code, kind, message, fix, path } = value as Record<string, unknown>;
  if (typeof code !== "string" || typeof message !== "string") return undefined;
  if (typeof kind !== "string" || !Object.hasOwn(statusOfKind, kind)) return undefined;
  return {
    code,
    kind: kind as ErrorKind,
    message,
    ...(typeof fix === "string" ? { fix } : {}),
    ...(typeof path === "string" ? { path } : {}),
  };
}
