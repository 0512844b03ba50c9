import { setMaxListeners } from "node:events";

/**
 * A signal that fires with `signal`, or after `ms` milliseconds with a `TimeoutError`. It holds no process alive, and
 * keeps nothing of `signal` once it has fired. In place of `AbortSignal.any` with `AbortSignal.timeout`: nothing holds
 * such a timeout but the garbage collector, and once it has been by it never fires.
 */
export function withDeadline(signal: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController();
  if (signal.aborted) {
    controller.abort(signal.reason);
    return controller.signal;
  }
  const onAbort = (): void => {
    clearTimeout(timer);
    controller.abort(signal.reason);
  };
  const timer = setTimeout(() => {
    signal.removeEventListener("abort", onAbort);
    controller.abort(new DOMException(`timed out after ${ms} ms`, "TimeoutError"));
  }, ms);
  timer.unref();
  // Many deadlines at once under one signal are no leak: each goes at its end, and Node.js would warn of the eleventh.
  setMaxListeners(0, signal);
  signal.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}

/** A signal that fires `ms` milliseconds after `signal` has. It holds no process alive. */
export function firesAfter(signal: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController();
  const onAbort = (): void => {
    setTimeout(() => controller.abort(signal.reason), ms).unref();
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}
