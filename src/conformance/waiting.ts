import type { EarlyEnd } from "./not-started.ts";
import { afterRunning } from "./running-time.ts";

/** What a check throws: the obligation is broken. The text says what was seen. */
export class Broken extends Error {
  override readonly name = "Broken";
  /** What the component wrote last, where no check is at hand that knows it. */
  output: readonly string[] = [];
  /** How it ended, where it ended before it called the control plane at all. */
  earlyEnd: EarlyEnd | undefined;
  /** Whether it had joined its pipeline, where no check is at hand that knows it. */
  hasJoined = false;
}

/** What a check throws when the obligation does not concern the component. */
export class NotApplicable extends Error {
  override readonly name = "NotApplicable";
}

/** What a check throws when the component did not do enough to see whether it keeps the obligation. */
export class NotShown extends Error {
  override readonly name = "NotShown";
}

/**
 * Tells waiting checks that something may have changed. Everything that records what the component does calls
 * `changed`; a check waits for a condition over what was recorded.
 */
export class Notice {
  readonly #waiting = new Set<() => void>();

  changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  /**
   * Resolves with the first value of `condition` that is neither undefined nor false; it is looked at now and after
   * every change. Rejects with the signal's reason, or with what `late` makes after `timeoutMs` in which this process could run.
   */
  until<Value>(
    condition: () => Value | undefined | false,
    options: {
      readonly timeoutMs: number;
      /** However little this process could run. */
      readonly atMostMs?: number;
      readonly signal: AbortSignal;
      readonly late: () => Error;
    },
  ): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      const end = (settle: () => void) => {
        endWait();
        this.#waiting.delete(look);
        options.signal.removeEventListener("abort", aborted);
        settle();
      };
      const look = () => {
        try {
          const value = condition();
          if (value !== undefined && value !== false) end(() => resolve(value as Value));
        } catch (error) {
          end(() => reject(error as Error));
        }
      };
      const aborted = () => end(() => reject(options.signal.reason as Error));
      const late = () => end(() => reject(options.late()));
      const endWait = afterRunning(options.timeoutMs, late, options.atMostMs);
      if (options.signal.aborted) return aborted();
      options.signal.addEventListener("abort", aborted, { once: true });
      this.#waiting.add(look);
      look();
    });
  }
}
