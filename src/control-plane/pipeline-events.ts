import type { PipelineEvent } from "../protocol/records.ts";
import { ChangeNotifier } from "./change-notifier.ts";

/** An event as whoever causes it describes it; the log adds number and time. */
export interface NewEvent {
  readonly type: string;
  readonly message: string;
  readonly componentId?: string;
  readonly instanceId?: string;
  readonly from?: string;
  readonly to?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface PipelineEventsOptions {
  /** Events that are kept, at least 1; the oldest go first. */
  readonly capacity: number;
  /** What an earlier process left, in order. */
  readonly kept: readonly PipelineEvent[];
  /** Called for every new event, with the number of the one that it pushed out. */
  readonly onAppend: (event: PipelineEvent, evicted: number | undefined) => void;
}

/** The last events of the pipeline, numbered without gaps across restarts of the control plane. Bounded memory. */
export class PipelineEvents {
  readonly #events: PipelineEvent[];
  readonly #capacity: number;
  readonly #onAppend: PipelineEventsOptions["onAppend"];
  readonly #changes = new ChangeNotifier();
  #next: number;

  constructor(options: PipelineEventsOptions) {
    this.#capacity = options.capacity;
    this.#events = options.kept.slice(-options.capacity);
    this.#onAppend = options.onAppend;
    this.#next = (this.#events.at(-1)?.sequence ?? 0) + 1;
  }

  append(event: NewEvent, time: number): PipelineEvent {
    const full: PipelineEvent = {
      sequence: this.#next,
      time,
      type: event.type,
      componentId: event.componentId ?? "",
      instanceId: event.instanceId ?? "",
      message: event.message,
      from: event.from ?? "",
      to: event.to ?? "",
      attributes: event.attributes ?? {},
    };
    this.#next += 1;
    this.#events.push(full);
    const evicted = this.#events.length > this.#capacity ? this.#events.shift() : undefined;
    this.#onAppend(full, evicted?.sequence);
    this.#changes.notify();
    return full;
  }

  /** What is kept with a sequence number above `after`, oldest first. */
  after(after: number): readonly PipelineEvent[] {
    const first = this.#events[0]?.sequence ?? 0;
    return this.#events.slice(Math.max(0, after + 1 - first));
  }

  /**
   * What is kept after `after`, then what comes. A reader that is slower than the log by its whole capacity misses the
   * oldest, which shows as a gap in the numbers. Ends by the signal, which makes it throw as cancelled.
   */
  async *follow(after: number, signal: AbortSignal): AsyncGenerator<PipelineEvent> {
    let cursor = after;
    for (;;) {
      const seen = this.#changes.version;
      for (const event of this.after(cursor)) {
        yield event;
        cursor = event.sequence;
      }
      await this.#changes.changed(seen, signal);
    }
  }
}
