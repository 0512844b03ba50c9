import type { Limits } from "../limits.ts";

/** Target queueing delay: what is taken within so many milliseconds may wait. */
export const QUEUE_MS = 8;

export interface QueueLimits extends Limits {
  /**
   * So many events in any case, and more, up to `maxEvents`, for a component that takes more within `QUEUE_MS`.
   */
  readonly minEvents: number;
}

/**
 * How many events may wait for somebody to take them: as many as were lately taken in `QUEUE_MS`, within limits. A longer queue
 * would gain nothing, but what waits for long outlives the young generation and costs far more memory than its size.
 */
export class QueuePace {
  private readonly limits: QueueLimits;
  private readonly now: () => number;
  private taken = 0;
  private takenBytes = 0;
  /** What may have been sent so that no more wait than may; never less than it was. */
  private end: number;
  /** What may wait, as found at `measuredAt`, when `takenThen` were taken. */
  private pace: number;
  private measuredAt: number;
  private takenThen = 0;

  /** @param now Milliseconds of a clock that never goes back. */
  constructor(limits: QueueLimits, now: () => number) {
    this.limits = limits;
    this.now = now;
    this.measuredAt = now();
    this.pace = limits.minEvents;
    this.end = this.pace;
  }

  /** How many were taken, since the beginning. */
  get total(): number {
    return this.taken;
  }

  /** So many events, of so many bytes together, wait no more. */
  took(events: number, bytes: number): void {
    this.taken += events;
    this.takenBytes += bytes;
    const elapsed = this.now() - this.measuredAt;
    if (elapsed >= QUEUE_MS) {
      const { minEvents, maxEvents } = this.limits;
      const pace = Math.floor(((this.taken - this.takenThen) * QUEUE_MS) / elapsed);
      this.pace = Math.min(maxEvents, Math.max(minEvents, pace));
      this.measuredAt += elapsed;
      this.takenThen = this.taken;
    }
    this.end = Math.max(this.end, this.taken + this.pace);
  }

  /** How many events, and bytes, may have been sent in total. */
  get maxSequence(): number {
    return this.end;
  }

  get maxBytes(): number {
    return this.takenBytes + this.limits.maxBytes;
  }
}
