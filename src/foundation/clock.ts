import { FlowctlError } from "./errors.ts";

/** Time, passed in so that whoever waits can be tested without waiting. */
export interface Clock {
  /** Unix milliseconds, as the machine has them: for what people read. They jump when the machine's clock is set. */
  now(): number;
  /** Milliseconds since some moment, the same one for as long as the process runs: for durations. They never jump. */
  elapsed(): number;
  /** Resolves after `ms`; rejects with kind `cancelled` as soon as the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(cancelled(signal));
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(cancelled(signal));
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
};

/** The error of something that ended because its signal fired. */
export function cancelled(signal?: AbortSignal): FlowctlError {
  if (signal?.reason instanceof FlowctlError) return signal.reason;
  return new FlowctlError({
    code: "foundation/cancelled",
    kind: "cancelled",
    message: "cancelled",
    cause: signal?.reason,
  });
}
