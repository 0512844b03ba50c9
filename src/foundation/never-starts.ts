import { FlowctlError } from "./errors.ts";

/**
 * Exit code of a control plane that cannot start as it is set up, however often it is tried: a damaged database, a wrong setting. It is
 * EX_CONFIG of sysexits(3).
 */
export const NEVER_STARTS = 78;

/** The exit code of a control plane that ends with `error`: `NEVER_STARTS`, or 1 where another try may go well. */
export function exitCodeOf(error: unknown): number {
  const lasts = error instanceof FlowctlError && ["failed", "invalid", "usage"].includes(error.kind);
  return lasts ? NEVER_STARTS : 1;
}
