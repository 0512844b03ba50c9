import { FlowctlError } from "../foundation/errors.ts";
import type { Logger } from "../foundation/logger.ts";

/** Says in one line what ended a program: for people, and with code and fix for the command that waits for it. */
export function sayFatal(error: unknown, what: string, log: Logger): void {
  const known = FlowctlError.wrap(error, {
    code: "control-plane/internal",
    kind: "internal",
    message: "internal error",
  });
  log.error(`${what} failed: ${known.message}`, {
    code: known.code,
    ...(known.fix === undefined ? {} : { fix: known.fix }),
    ...(known.kind === "internal" ? { err: error } : {}),
  });
}
