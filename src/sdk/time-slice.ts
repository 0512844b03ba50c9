const SLICE_MS = 8;
/** So many pieces make a turn, however quick they are: what they have written is to leave meanwhile. */
const SLICE_PIECES = 2048;
const LOOK_EVERY = 32;

/**
 * Keeps a busy loop from holding the event loop: acknowledgements, heartbeats and health checks get their turn every few
 * milliseconds, whatever each event costs, and what was written leaves while the next ones are worked on, and not when
 * there is nothing more to do.
 */
export class TimeSlice {
  private readonly now: () => number;
  private started: number;
  private count = 0;
  /** How many pieces are done between two looks at the clock, and before the next: few while they are slow. */
  private step = 1;
  private lookAt = 1;

  /** @param now Milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.now = now;
    this.started = now();
  }

  /** Call after each piece of work. Whether time is up: looks at the clock only now and then, or at once when pieces are slow. */
  over(): boolean {
    if (++this.count < this.lookAt) return false;
    const elapsed = this.now() - this.started;
    const most = Math.floor((this.count * (SLICE_MS / 2)) / Math.max(elapsed, 0.001));
    this.step = Math.max(1, Math.min(LOOK_EVERY, most, this.step * 2));
    this.lookAt = this.count + this.step;
    return elapsed >= SLICE_MS;
  }

  /** Whether so much was done since the last turn that something is waiting to leave. */
  get full(): boolean {
    return this.count >= SLICE_PIECES;
  }

  /** Lets everything else run. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.restart();
  }

  restart(): void {
    this.started = this.now();
    this.count = 0;
    this.lookAt = this.step;
  }
}
