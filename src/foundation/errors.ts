/**
 * The category of an error. It determines the exit code of the command line and the gRPC status on the wire; `code` identifies
 * the error precisely.
 */
export type ErrorKind =
  /** Usage error: the command line is invalid. */
  | "usage"
  /** A file, a value or a message is invalid. */
  | "invalid"
  /** The requested thing does not exist. */
  | "not-found"
  /** It already exists, or its state does not permit the operation. */
  | "conflict"
  /** A peer, an engine or a file system is unreachable or refuses. */
  | "unavailable"
  /** Permission denied. */
  | "denied"
  /** Whoever asks has not shown who they are, or what they show is not valid any more. */
  | "unauthenticated"
  /** Timed out. */
  | "timeout"
  /** The caller cancelled the operation. */
  | "cancelled"
  /** A pipeline or a component failed. */
  | "failed"
  /** Internal error: a bug in flowctl. */
  | "internal";

/** Where in a file something is. Lines and columns count from 1; `length` is in characters and may be 0. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length?: number;
}

export interface FlowctlErrorOptions {
  /** Stable, kebab-case, prefixed with its owner: `pipeline/unknown-key`. Part of the API: never changes. */
  readonly code: string;
  readonly kind: ErrorKind;
  /** One sentence that says what is wrong with what, without a trailing period. */
  readonly message: string;
  /** How to fix it, as an instruction. A plain word at its start gets a capital letter; a name or a command does not belong there. */
  readonly fix?: string;
  readonly position?: SourcePosition;
  /** Path inside a configuration, such as `sources.feed.with.url`. */
  readonly path?: string;
  readonly cause?: unknown;
}

/**
 * The one error type of flowctl. Callers tell errors apart by `code` and `kind`, never by the text of the message.
 * The text is for people and may change.
 */
export class FlowctlError extends Error {
  override readonly name = "FlowctlError";
  readonly code: string;
  readonly kind: ErrorKind;
  readonly fix: string | undefined;
  readonly position: SourcePosition | undefined;
  readonly path: string | undefined;

  constructor(options: FlowctlErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.kind = options.kind;
    this.fix = options.fix?.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase());
    this.position = options.position;
    this.path = options.path;
  }

  /**
   * Returns `error` itself when it is a FlowctlError, else wraps it with the given code and kind and keeps it as the
   * cause. The message of the wrapped error is appended, so that nothing a library said is lost.
   */
  static wrap(error: unknown, options: FlowctlErrorOptions): FlowctlError {
    if (error instanceof FlowctlError) return error;
    return new FlowctlError({ ...options, message: `${options.message}: ${messageOf(error)}`, cause: error });
  }
}

/**
 * The message of anything that was thrown; of several errors in one without a text of its own, such as of a host that refuses
 * on each of its addresses, those of all. Never throws.
 */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && !error.message && error.errors.length > 0)
    return error.errors.map(messageOf).join("; ");
  if (error instanceof Error) return error.message || error.name;
  return String(error);
}

/** `error`, what caused it, what caused that, and so on; each once, however they are tied. */
export function causesOf(error: unknown): unknown[] {
  const causes = [error];
  for (let last = error; last instanceof Error && last.cause !== undefined && !causes.includes(last.cause); ) {
    last = last.cause;
    causes.push(last);
  }
  return causes;
}

/** Whether `error` has the given FlowctlError code. */
export function hasCode(error: unknown, code: string): error is FlowctlError {
  return error instanceof FlowctlError && error.code === code;
}
