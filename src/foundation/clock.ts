import { FlowctlError } from "./errors.ts";

/** Time, passed in so that whoever waits can be tested without waiting. */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Resolves after `ms`; rejects with kind `cancelled` as soon as the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
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
