import { cancelled } from "../foundation/clock.ts";

/**
 * Tells any number of waiters that something changed. It holds no values, only a version: a waiter that was busy while
 * ten changes happened wakes once and looks at the newest state, so no slow reader makes a queue.
 */
export class ChangeNotifier {
  #version = 0;
  readonly #waiters = new Set<() => void>();

  /** Counts the changes. */
  get version(): number {
    return this.#version;
  }

  notify(): void {
    this.#version += 1;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  /** Resolves as soon as the version is above `seen`; rejects with kind `cancelled` when the signal fires. */
  changed(seen: number, signal: AbortSignal): Promise<void> {
    if (this.#version > seen) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(cancelled(signal));
      const wake = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiters.delete(wake);
        reject(cancelled(signal));
      };
      this.#waiters.add(wake);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
