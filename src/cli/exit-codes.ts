import { type ErrorKind, FlowctlError } from "../foundation/errors.ts";

/** Every exit code of the command line. They are API: numbers never change their meaning. */
export const ExitCode = {
  ok: 0,
  /** A pipeline or a component failed, or something else went wrong while it ran. */
  failed: 1,
  /** Unknown command or option, missing or wrong argument. */
  usage: 2,
  /** The pipeline file, or another file or value, does not hold what it must. */
  invalid: 3,
  /** No driver, engine, registry or control plane answers, or it refuses. */
  unavailable: 4,
  notFound: 5,
  /** It exists already, or is in a state that forbids this. */
  conflict: 6,
  timeout: 7,
  /** A defect in flowctl. */
  internal: 70,
  /** Ended by Ctrl-C or a signal. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

const BY_KIND: Readonly<Record<ErrorKind, ExitCode>> = {
  usage: ExitCode.usage,
  invalid: ExitCode.invalid,
  "not-found": ExitCode.notFound,
  conflict: ExitCode.conflict,
  unavailable: ExitCode.unavailable,
  denied: ExitCode.unavailable,
  unauthenticated: ExitCode.unavailable,
  timeout: ExitCode.timeout,
  cancelled: ExitCode.interrupted,
  failed: ExitCode.failed,
  internal: ExitCode.internal,
};

/** The exit code for anything that was thrown. What is not a FlowctlError is a defect. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof FlowctlError)) return ExitCode.internal;
  // Whoever closed the pipe has seen enough: `flowctl logs | head` is a success.
  if (error.code === OUTPUT_CLOSED) return ExitCode.ok;
  return BY_KIND[error.kind];
}

/** The code of the error that ends a command whose output nobody reads any more. */
export const OUTPUT_CLOSED = "cli/output-closed";

const MEANING: readonly (readonly [ExitCode, string])[] = [
  [ExitCode.ok, "success; for up, run and wait: the pipeline completed or started as asked"],
  [ExitCode.failed, "the pipeline or a component failed"],
  [ExitCode.usage, "usage error"],
  [ExitCode.invalid, "the pipeline file or another value is invalid"],
  [ExitCode.unavailable, "an engine, a registry or the control plane is unreachable, or refuses"],
  [ExitCode.notFound, "not found"],
  [ExitCode.conflict, "conflict: it already exists, or its state does not allow this"],
  [ExitCode.timeout, "timed out"],
  [ExitCode.internal, "internal error: a bug in flowctl"],
  [ExitCode.interrupted, "interrupted by Ctrl-C or a signal"],
];

/** The meanings of some exit codes (all by default) for `--help` and the reference, one line each. */
export function describeExitCodes(codes?: readonly ExitCode[]): readonly string[] {
  return MEANING.filter(([code]) => codes === undefined || codes.includes(code)).map(
    ([code, meaning]) => `${String(code).padStart(3)}  ${meaning}`,
  );
}
