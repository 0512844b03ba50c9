import { performance } from "node:perf_hooks";

/** Looked at so often, in milliseconds. */
const SLICE = 25;

/**
 * Calls `done` once this process has had `ms` milliseconds in which it could run. What a busy machine takes from it does not count, as
 * it takes as much from the component that is waited for. It does not take longer than `atMostMs` all the same, for what has to happen
 * within a time of the component's own. Returns what ends the wait without a call.
 */
export function afterRunning(ms: number, done: () => void, atMostMs = Number.POSITIVE_INFINITY): () => void {
  const end = performance.now() + atMostMs;
  let left = ms;
  let timer: NodeJS.Timeout | undefined;
  const next = (): void => {
    if (left <= 0 || performance.now() >= end) {
      done();
      return;
    }
    const slice = Math.min(SLICE, left);
    // However late it fires.
    left -= slice;
    timer = setTimeout(next, slice);
  };
  timer = setTimeout(next, 0);
  return () => clearTimeout(timer);
}
