const SLICE_MS = 8;
const LOOK_EVERY = 32;

/**
 * Keeps a busy loop from holding the event loop: acknowledgements, heartbeats and health checks get their turn every few
 * milliseconds, whatever each event costs.
 */
export class TimeSlice {
  private started = performance.now();
  private count = 0;

  /** Call after each piece of work. Looks at the clock only now and then, or at once when pieces are slow. */
  over(): boolean {
    if (++this.count < LOOK_EVERY) return false;
    this.count = 0;
    return performance.now() - this.started >= SLICE_MS;
  }

  /** Lets everything else run. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.restart();
  }

  restart(): void {
    this.started = performance.now();
    this.count = 0;
  }
}
