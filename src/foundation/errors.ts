/**
 * The broad class of a failure. It decides the exit code of the command line and the gRPC status on the wire; the
 * `code` of the error says precisely what happened.
 */
export type ErrorKind =
  /** The command was typed wrongly. */
  | "usage"
  /** A file, a value or a message does not hold what it must. */
  | "invalid"
  /** What was asked for does not exist. */
  | "not-found"
  /** It exists already, or is in a state that forbids this. */
  | "conflict"
  /** A peer, an engine or a file system does not answer or refuses. */
  | "unavailable"
  /** Not permitted. */
  | "denied"
  /** It took longer than its deadline. */
  | "timeout"
  /** The caller ended it. */
  | "cancelled"
  /** A pipeline or a component ended in failure. */
  | "failed"
  /** A defect in flowctl. */
  | "internal";

/** Where in a file something is. Lines and columns count from 1; `length` is in characters and may be 0. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly length?: number;
}

export interface FlowctlErrorOptions {
  /** Stable, kebab-case, prefixed by its owner: `pipeline/unknown-key`. It is API: never reworded. */
  readonly code: string;
  readonly kind: ErrorKind;
  /** One sentence: what is wrong, naming the thing. No trailing period needed. */
  readonly message: string;
  /** What the reader does to mend it, as an instruction. */
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
    this.fix = options.fix;
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
