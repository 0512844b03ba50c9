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
  /** Characters of all their texts together; the newest is kept however long it is. Default: 4 Mi. */
  readonly maxCharacters?: number;
  /** What an earlier process left, in order. */
  readonly kept: readonly PipelineEvent[];
  /** Called for every new event, with the numbers of those that it pushed out. */
  readonly onAppend: (event: PipelineEvent, evicted: readonly number[]) => void;
}

/**
 * The last events of the pipeline, numbered without gaps across restarts of the control plane. Bounded memory: what they say comes
 * from others, so that they are bounded in characters as well as in number.
 */
export class PipelineEvents {
  readonly #events: PipelineEvent[];
  readonly #capacity: number;
  readonly #maxCharacters: number;
  #characters: number;
  readonly #onAppend: PipelineEventsOptions["onAppend"];
  readonly #changes = new ChangeNotifier();
  #next: number;

  constructor(options: PipelineEventsOptions) {
    this.#capacity = options.capacity;
    this.#maxCharacters = options.maxCharacters ?? 4 * 1024 * 1024;
    this.#events = options.kept.slice(-options.capacity);
    this.#characters = this.#events.reduce((sum, event) => sum + charactersOf(event), 0);
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
    this.#characters += charactersOf(full);
    this.#onAppend(full, this.#evict());
    this.#changes.notify();
    return full;
  }

  /** The numbers of those that have to go. */
  #evict(): readonly number[] {
    const evicted: number[] = [];
    while (
      this.#events.length > this.#capacity ||
      (this.#characters > this.#maxCharacters && this.#events.length > 1)
    ) {
      const oldest = this.#events.shift()!;
      this.#characters -= charactersOf(oldest);
      evicted.push(oldest.sequence);
    }
    return evicted;
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

function charactersOf({ type, componentId, instanceId, message, from, to, attributes }: PipelineEvent): number {
  const texts = [type, componentId, instanceId, message, from, to, ...Object.entries(attributes).flat()];
  return texts.reduce((sum, text) => sum + text.length, 0);
}
