import type { Clock } from "../../foundation/clock.ts";

/** At most so long a pause is made up for by a burst, in milliseconds. */
const catchUpMs = 1_000;

/** Says when the next event is due. What a slow pipeline held up is made up for, but not without end. */
export class Pace {
  readonly #clock: Clock;
  #perMs: number;
  #start: number;
  #made = 0;

  /** `perMs`: events per millisecond, `Infinity` for as fast as can be. */
  constructor(perMs: number, clock: Clock) {
    this.#perMs = perMs;
    this.#clock = clock;
    this.#start = clock.elapsed();
  }

  /** Goes on at another rate from now on. */
  change(perMs: number): void {
    if (perMs === this.#perMs) return;
    const now = this.#clock.elapsed();
    // What is owed, or was made ahead, stays so.
    const owed = this.#perMs === Number.POSITIVE_INFINITY ? 0 : (now - this.#start) * this.#perMs - this.#made;
    this.#perMs = perMs;
    this.#start = now;
    this.#made = -owed;
  }

  /** Whether an event is due now, which counts as made then. */
  due(): boolean {
    if (this.#perMs === Number.POSITIVE_INFINITY) return true;
    const now = this.#clock.elapsed();
    const due = (now - this.#start) * this.#perMs;
    if (due - this.#made > catchUpMs * this.#perMs + 1) {
      this.#start = now - catchUpMs;
      this.#made = 0;
    } else if (this.#made > due) {
      return false;
    }
    this.#made += 1;
    return true;
  }

  /** Waits until the next event may be due; ends early, without an error, when the signal fires. */
  async wait(signal: AbortSignal): Promise<void> {
    const nextMs = this.#start + this.#made / this.#perMs - this.#clock.elapsed();
    try {
      await this.#clock.sleep(Math.max(1, Math.ceil(nextMs)), signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
