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
  /** Called when the stream broke and is taken up again. */
  readonly onBreak?: (error: FlowctlError) => void;
}

interface Position {
  readonly time: number;
  /** Lines seen of that very millisecond. */
  readonly count: number;
}

const RETRY_INTERVAL = 500;

/** Prints a pipeline's log lines once each, also when the stream breaks and is taken up again. */
export class LogFollower {
  readonly #options: FollowLogsOptions;
  readonly #positions = new Map<string, Position>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: FollowLogsOptions) {
    this.#options = options;
  }

  /** Begins to print. Returns at once. */
  start(): void {
    this.#running ??= this.#follow();
  }

  /**
   * Stops following, then prints what `instances` wrote up to now and has not been printed yet. Each is read from its
   * own last line on, so that it costs little however much was written.
   */
  async drain(instances: readonly string[], signal: AbortSignal): Promise<void> {
    await this.stop();
    for (const instance of instances) {
      const since = this.#positions.get(instance)?.time ?? this.#options.since;
      const range = since === undefined ? {} : { since };
      await this.#pass({ select: [instance], follow: false, ...range }, signal);
    }
  }

  /** Stops following without waiting for more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { select, since, tail } = this.#options;
    const options = { select, follow: true, ...(since === undefined ? {} : { since }) };
    let first = tail === undefined ? options : { ...options, tail };
    while (!signal.aborted) {
      try {
        const once = first;
        first = this.#positions.size === 0 ? first : options;
        await this.#pass(once, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FlowctlError)) throw error;
        this.#options.onBreak?.(error);
      }
      await this.#options.clock.sleep(RETRY_INTERVAL, signal).catch(() => undefined);
    }
  }

  async #pass(options: LogOptions, signal: AbortSignal): Promise<void> {
    const { driver, pipeline, print } = this.#options;
    const before = new Map(this.#positions);
    const again = new Map<string, number>();
    for await (const line of driver.logs(pipeline, options, signal)) {
      const seen = before.get(line.instance);
      if (seen !== undefined) {
        if (line.time < seen.time) continue;
        if (line.time === seen.time) {
          const count = (again.get(line.instance) ?? 0) + 1;
          again.set(line.instance, count);
          if (count <= seen.count) continue;
        }
      }
      this.#advance(line);
      print(line);
    }
  }

  #advance(line: LogLine): void {
    const position = this.#positions.get(line.instance);
    if (position !== undefined && position.time > line.time) return;
    const count = position?.time === line.time ? position.count + 1 : 1;
    this.#positions.set(line.instance, { time: line.time, count });
  }
}
