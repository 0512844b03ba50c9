import type { Clock } from "../../foundation/clock.ts";

/** Is rung when something has happened, for whoever looks now and then, and wants to look sooner then. */
export class Bell {
  #rings = 0;
  readonly #waiting = new Set<() => void>();

  /** How often it was rung. */
  get rings(): number {
    return this.#rings;
  }

  /** How many wait for it. */
  get waiting(): number {
    return this.#waiting.size;
  }

  ring(): void {
    this.#rings++;
    for (const wake of this.#waiting) wake();
  }

  /**
   * Resolves as soon as it was rung more often than `seen`, after `ms`, or when the signal fires. Leaves nothing behind, however
   * often it was waited for in vain.
   */
  async heard(seen: number, clock: Pick<Clock, "sleep">, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#rings > seen || signal.aborted) return;
    const enough = new AbortController();
    const wake = (): void => enough.abort();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    try {
      await clock.sleep(ms, enough.signal).catch(() => undefined);
    } finally {
      this.#waiting.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }
}
