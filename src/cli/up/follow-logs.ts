import type { Driver, LogLine, LogOptions } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";

export interface FollowLogsOptions {
  readonly driver: Pick<Driver, "logs">;
  readonly pipeline: string;
  readonly select: readonly string[];
  /** Unix milliseconds; absent: from the beginning. */
  readonly since?: number;
  /** Lines per instance to begin with; absent: all. */
  readonly tail?: number;
  readonly clock: Clock;
  readonly print: (line: LogLine) => void;
  /** Called when the stream broke and is taken up again; lines may be missing or come twice around that moment. */
  readonly onBreak?: (error: FlowctlError) => void;
}

const RETRY_INTERVAL = 500;
/** How long no line has to come until what was written is taken as read, and how long that is waited for at most. */
const QUIET = 250;
const QUIET_AT_MOST = 5_000;
/** Up to so many lines what was printed is compared with what there is at the end. */
const COMPARABLE = 20_000;

/** Prints a pipeline's log lines as they come, until stopped. */
export class LogFollower {
  readonly #options: FollowLogsOptions;
  /** Lines printed of each stream of each instance. A line's place in its stream never changes; its time may. */
  readonly #printed = new Map<string, number>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #broke = false;
  #total = 0;

  constructor(options: FollowLogsOptions) {
    this.#options = options;
  }

  /** Begins to print. Returns at once. */
  start(): void {
    this.#running ??= this.#follow();
  }

  /** Stops following without waiting for more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Prints the rest of what instances that have ended wrote, then stops. */
  async drain(signal: AbortSignal): Promise<void> {
    const { clock, select, since } = this.#options;
    if (this.#running !== undefined) {
      const end = clock.elapsed() + QUIET_AT_MOST;
      for (let before = -1; before !== this.#total && clock.elapsed() < end; ) {
        before = this.#total;
        await clock.sleep(QUIET, signal);
      }
    }
    await this.stop();
    if (this.#broke || this.#total > COMPARABLE) return;
    const skip = new Map(this.#printed);
    const options = { select, follow: false, ...(since === undefined ? {} : { since }) };
    for await (const line of this.#lines(options, signal)) {
      const left = skip.get(streamOf(line)) ?? 0;
      if (left > 0) skip.set(streamOf(line), left - 1);
      else this.#print(line);
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { clock, select, since, tail, onBreak } = this.#options;
    let options: LogOptions = {
      select,
      follow: true,
      ...(since === undefined ? {} : { since }),
      ...(tail === undefined ? {} : { tail }),
    };
    while (!signal.aborted) {
      try {
        for await (const line of this.#lines(options, signal)) this.#print(line);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FlowctlError)) throw error;
        this.#broke = true;
        onBreak?.(error);
      }
      options = { select, follow: true, since: clock.now() };
      await clock.sleep(RETRY_INTERVAL, signal).catch(() => undefined);
    }
  }

  #lines(options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return this.#options.driver.logs(this.#options.pipeline, options, signal);
  }

  #print(line: LogLine): void {
    this.#total++;
    this.#printed.set(streamOf(line), (this.#printed.get(streamOf(line)) ?? 0) + 1);
    this.#options.print(line);
  }
}

function streamOf(line: LogLine): string {
  return `${line.instance} ${line.stream}`;
}
