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

/**
 * The receiving side's book of one stream: which events have arrived, up to where all are done, and therefore what may
 * be acknowledged and how much credit that makes.
 */
export class AckTracker<Event extends Tracked> {
  private readonly window: Window;
  private readonly events = new Ring<Event>(256);
  private acked = 0;
  private ackedBytes = 0;
  private reported = 0;

  constructor(window: Window) {
    this.window = window;
  }

  /** Arrived and not done, counting what waits behind something older. */
  get inFlight(): number {
    return this.events.length;
  }

  /** How many have arrived, which is the sequence number of the last. */
  get received(): number {
    return this.acked + this.events.length;
  }

  arrived(event: Event): void {
    this.events.push(event);
  }

  /** Moves over everything that is done. Returns whether there is something new to acknowledge. */
  advance(): boolean {
    const { events } = this;
    while (events.length > 0 && events.at(0).done) {
      this.ackedBytes += events.shift().size;
      this.acked++;
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
    for (let i = 0; i < this.events.length; i++) yield this.events.at(i);
  }
}
