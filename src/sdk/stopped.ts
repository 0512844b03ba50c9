import { causesOf, FlowctlError, hasCode } from "../foundation/errors.ts";

/** Says that something was given up because the component stops. */
export function stoppedError(message: string): FlowctlError {
  return new FlowctlError({ code: "sdk/stopped", kind: "cancelled", message });
}

/** Whether `error` says, or was caused by, nothing but that the component stops: `stopping` has fired, and it was aborted. */
export function isStopped(error: unknown, stopping: AbortSignal): boolean {
  if (!stopping.aborted) return false;
  return causesOf(error).some(
    (cause) =>
      cause === stopping.reason ||
      (cause instanceof FlowctlError && cause.kind === "cancelled") ||
      (cause instanceof Error && cause.name === "AbortError"),
  );
}

/** Work that was given up because the component stops has not failed: what it was at is not acknowledged, and comes again. */
export async function untilStopped(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!hasCode(error, "sdk/stopped")) throw error;
  }
}
