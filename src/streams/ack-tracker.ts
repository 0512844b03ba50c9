import type { Credit } from "../protocol/stream-codec.ts";
import { Ring } from "./ring.ts";

export interface Window {
  /** Events and bytes that may be received and not done. */
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** What the tracker needs of an event. */
export interface Tracked {
  readonly size: number;
  readonly done: boolean;
}

interface Batch<Event> {
  readonly events: readonly Event[];
  /** How many of them, from the first on, are acknowledged. */
  acknowledged: number;
}

/**
 * The receiving side's book of one stream: which events have arrived, up to where all are done, and therefore what may
 * be acknowledged and how much credit that makes.
 */
export class AckTracker<Event extends Tracked> {
  private readonly window: Window;
  private readonly batches = new Ring<Batch<Event>>();
  private arrivedCount = 0;
  private acked = 0;
  private ackedBytes = 0;
  private reported = 0;

  constructor(window: Window) {
    this.window = window;
  }

  /** Arrived and not done, counting what waits behind something older. */
  get inFlight(): number {
    return this.arrivedCount - this.acked;
  }

  /** How many have arrived, which is the sequence number of the last. */
  get received(): number {
    return this.arrivedCount;
  }

  /** Takes note of events that arrived together, at least one. */
  arrived(events: readonly Event[]): void {
    this.arrivedCount += events.length;
    this.batches.push({ events, acknowledged: 0 });
  }

  /** Moves over everything that is done. Returns whether there is something new to acknowledge. */
  advance(): boolean {
    while (this.batches.length > 0) {
      const batch = this.batches.at(0);
      const { events } = batch;
      const before = batch.acknowledged;
      let index = before;
      while (index < events.length && events[index]!.done) this.ackedBytes += events[index++]!.size;
      batch.acknowledged = index;
      this.acked += index - before;
      if (index < events.length) break;
      this.batches.shift();
    }
    return this.acked > this.reported;
  }

  /** The acknowledgement to send, if there is a new one. */
  takeAck(): number | undefined {
    if (this.acked === this.reported) return undefined;
    this.reported = this.acked;
    return this.acked;
  }

  /** What the other side may send in total. */
  credit(): Credit {
    return { maxSequence: this.acked + this.window.maxEvents, maxBytes: this.ackedBytes + this.window.maxBytes };
  }

  /** What has arrived and could not be acknowledged yet, oldest first. */
  *unacknowledged(): Iterable<Event> {
    for (let i = 0; i < this.batches.length; i++) {
      const { events, acknowledged } = this.batches.at(i);
      for (let index = acknowledged; index < events.length; index++) yield events[index]!;
    }
  }
}
