import { EventView } from "../../protocol/event-view.ts";
import type { Credit, EventPlaces } from "../../protocol/stream-codec.ts";
import type { Limits } from "../limits.ts";
import { Ring } from "../ring.ts";
import { type QueueLimits, QueuePace } from "./queue-pace.ts";
import type { Origin, ReceivedEvent } from "./received-event.ts";

/** Events and bytes that may be received and not done. */
export interface Window extends Limits {
  /** Of these, what may wait for somebody to take it. Left out: all. */
  readonly queue?: QueueLimits;
}

/** Events that one message brought, by sequence number. */
export interface Arrival {
  readonly message: Buffer;
  /** Sequence number of the first. */
  readonly first: number;
  readonly count: number;
}

/** The sequence number of the last of them. */
export function lastOf({ first, count }: Arrival): number {
  return first + count - 1;
}

/**
 * The receiving side's book of one stream: where each event lies, what it waits for, up to where all are done, and
 * therefore what may be acknowledged and how much credit that makes. Kept as columns, by sequence number, with the messages
 * as they came: views are made of an event when somebody wants to look at it, and nobody keeps them.
 */
export class AckTracker implements EventPlaces {
  private readonly window: Window;
  private readonly pace: QueuePace;
  /** How much each event waits for. */
  private open: Uint32Array;
  private starts: Uint32Array;
  private bodies: Uint32Array;
  private ends: Uint32Array;
  private readonly arrivals = new Ring<Arrival>();
  /** Of the message that is being read. */
  private addedCount = 0;
  private arrivedCount = 0;
  private acked = 0;
  private ackedBytes = 0;
  private reported = 0;

  /**
   * @param capacity Initial capacity; a power of two.
   * @param now Milliseconds of a clock that never goes back.
   */
  constructor(window: Window, capacity = 1024, now: () => number = () => performance.now()) {
    this.window = window;
    this.pace = new QueuePace(window.queue ?? { ...window, minEvents: window.maxEvents }, now);
    this.open = new Uint32Array(capacity);
    this.starts = new Uint32Array(capacity);
    this.bodies = new Uint32Array(capacity);
    this.ends = new Uint32Array(capacity);
  }

  /** Arrived and not acknowledged, counting what waits behind something older. */
  get inFlight(): number {
    return this.arrivedCount - this.acked;
  }

  /** How many have arrived, which is the sequence number of the last. */
  get received(): number {
    return this.arrivedCount;
  }

  /** How many of them wait for somebody to take them. */
  get waiting(): number {
    return this.arrivedCount - this.pace.total;
  }

  /** The next event of the message that is being read; counts when `arrived` is called, unless `restart` was before. */
  add(start: number, body: number, end: number): void {
    this.addedCount++;
    if (this.inFlight + this.added > this.open.length) this.grow();
    const index = (this.arrivedCount + this.added) & (this.open.length - 1);
    this.open[index] = 1;
    this.starts[index] = start;
    this.bodies[index] = body;
    this.ends[index] = end;
  }

  /** A message begins: forgets what was added of one that could not be read to its end. */
  restart(): void {
    this.addedCount = 0;
  }

  /** How many events the message has that was read. */
  get added(): number {
    return this.addedCount;
  }

  /** The events that were added have arrived with this message, at least one, and each waits for one thing. */
  arrived(message: Buffer): Arrival {
    const arrival = { message, first: this.arrivedCount + 1, count: this.added };
    this.arrivals.push(arrival);
    this.arrivedCount += this.added;
    this.addedCount = 0;
    return arrival;
  }

  /** So many events, of so many bytes together, wait in no queue any more: somebody works on them, or has done so before. */
  took(events: number, bytes: number): void {
    this.pace.took(events, bytes);
  }

  /** Views of events that are not acknowledged. */
  views({ message, first, count }: Arrival, origin: Origin): ReceivedEvent[] {
    const { starts, bodies, ends } = this;
    const mask = starts.length - 1;
    const events = new Array<ReceivedEvent>(count);
    for (let i = 0; i < count; i++) {
      const index = (first + i) & mask;
      events[i] = new EventView(message, starts[index]!, bodies[index]!, ends[index]!, origin, first + i);
    }
    return events;
  }

  /** The event waits for one thing more. Without effect once it is acknowledged. */
  hold(sequence: number): void {
    if (sequence > this.acked) this.open[sequence & (this.open.length - 1)]!++;
  }

  /** One of the things that the event waits for is over. Returns whether that was the last. */
  settle(sequence: number): boolean {
    if (sequence <= this.acked) return false;
    const index = sequence & (this.open.length - 1);
    const left = this.open[index]! - 1;
    this.open[index] = left;
    return left === 0;
  }

  /** One of the things that each of `count` events in a row waits for is over. Returns whether that was the last of any. */
  settleRun(first: number, count: number): boolean {
    const { open } = this;
    const mask = open.length - 1;
    let isAnyDone = false;
    for (let sequence = Math.max(first, this.acked + 1); sequence < first + count; sequence++) {
      const index = sequence & mask;
      const left = open[index]! - 1;
      open[index] = left;
      if (left === 0) isAnyDone = true;
    }
    return isAnyDone;
  }

  isDone(sequence: number): boolean {
    return sequence <= this.acked || this.open[sequence & (this.open.length - 1)] === 0;
  }

  /** Moves over everything that is done, and returns the acknowledgement to send, if there is a new one. */
  takeAck(): number | undefined {
    const { open, bodies, ends, arrivedCount } = this;
    const mask = open.length - 1;
    let acked = this.acked;
    while (acked < arrivedCount && open[(acked + 1) & mask] === 0) {
      const index = ++acked & mask;
      this.ackedBytes += ends[index]! - bodies[index]!;
    }
    this.acked = acked;
    while (this.arrivals.length > 0 && lastOf(this.arrivals.at(0)) <= acked) this.arrivals.shift();
    if (acked === this.reported) return undefined;
    this.reported = acked;
    return acked;
  }

  /** What the other side may send in total. */
  credit(): Credit {
    const { window, pace } = this;
    return {
      maxSequence: Math.min(this.acked + window.maxEvents, pace.maxSequence),
      maxBytes: Math.min(this.ackedBytes + window.maxBytes, pace.maxBytes),
    };
  }

  /** What has arrived and could not be acknowledged yet, oldest first. */
  *unacknowledged(): Iterable<Arrival> {
    for (let i = 0; i < this.arrivals.length; i++) {
      const arrival = this.arrivals.at(i);
      const first = Math.max(arrival.first, this.acked + 1);
      yield { message: arrival.message, first, count: lastOf(arrival) - first + 1 };
    }
  }

  private grow(): void {
    const { open, starts, bodies, ends } = this;
    const capacity = open.length * 2;
    this.open = new Uint32Array(capacity);
    this.starts = new Uint32Array(capacity);
    this.bodies = new Uint32Array(capacity);
    this.ends = new Uint32Array(capacity);
    for (let sequence = this.acked + 1; sequence < this.arrivedCount + this.added; sequence++) {
      const from = sequence & (open.length - 1);
      const to = sequence & (capacity - 1);
      this.open[to] = open[from]!;
      this.starts[to] = starts[from]!;
      this.bodies[to] = bodies[from]!;
      this.ends[to] = ends[from]!;
    }
  }
}
