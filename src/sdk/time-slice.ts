const SLICE_MS = 8;
const LOOK_EVERY = 32;
/** As many as go into one message. */
const MANY = 1024;

/**
 * Keeps a busy loop from holding the event loop: acknowledgements, heartbeats and health checks get their turn every few
 * milliseconds, whatever each event costs, and what was written leaves while the next ones are worked on, and not when
 * there is nothing more to do.
 */
export class TimeSlice {
  private started = performance.now();
  private count = 0;

  /** Call after each piece of work. Whether time is up: looks at the clock only now and then. */
  over(): boolean {
    return ++this.count % LOOK_EVERY === 0 && performance.now() - this.started >= SLICE_MS;
  }

  /** Whether so much was done since the last turn that a message is waiting to leave. */
  get full(): boolean {
    return this.count >= MANY;
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
