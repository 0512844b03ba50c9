import { FlowctlError, messageOf } from "../../foundation/errors.ts";

/** What PostgreSQL says of an error, as its protocol has it (https://www.postgresql.org/docs/current/protocol-error-fields.html). */
interface DatabaseError extends Error {
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly column?: string;
  readonly constraint?: string;
}

/**
 * Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) that a value is to blame for: data
 * exceptions, violated constraints, and what a trigger or a view with a check refuses.
 */
const EVENTS_FAULT = /^(?:22|23|44|P0001)/;

/** What is wrong with the table, the rights or the settings: nothing that comes will be written until somebody mends it. */
const NEEDS_MENDING = /^(?:0A|28|3D|3F|42)/;

/**
 * What a failed statement or connection means: of kind `invalid` where the values are to blame; else `unavailable`, as nothing that is
 * written is, and the next attempt may succeed: `components/postgres-refused` where somebody has to mend something first, such as
 * a missing table, else `components/postgres-away`.
 */
export function postgresFailure(error: unknown, doing: string): FlowctlError {
  if (error instanceof FlowctlError) return error;
  if (!isDatabaseError(error)) {
    return new FlowctlError({
      code: "components/postgres-away",
      kind: "unavailable",
      message: `cannot ${doing}: ${messageOf(error)}`,
      cause: error,
    });
  }
  const { code, detail, hint } = error;
  const message = `cannot ${doing}: ${error.message}${detail === undefined ? "" : ` (${detail})`} [SQLSTATE ${code}]`;
  if (EVENTS_FAULT.test(code)) {
    return new FlowctlError({ code: "components/postgres-bad-value", kind: "invalid", message, cause: error });
  }
  const isRefused = NEEDS_MENDING.test(code);
  return new FlowctlError({
    code: isRefused ? "components/postgres-refused" : "components/postgres-away",
    kind: "unavailable",
    message,
    ...(hint === undefined ? {} : { fix: hint }),
    cause: error,
  });
}

/** Whether the table is not as it was when it was looked at. */
export function isSchemaChange(error: unknown): boolean {
  return isDatabaseError(error) && /^(?:42|0A)/.test(error.code);
}

/** Whether the database refused a statement, and goes on with its session. */
export function isRefusedStatement(error: unknown): boolean {
  return isDatabaseError(error) && error.severity === "ERROR";
}

function isDatabaseError(error: unknown): error is DatabaseError {
  return error instanceof Error && "severity" in error && "code" in error && typeof error.code === "string";
}
