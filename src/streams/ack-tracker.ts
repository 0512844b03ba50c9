import type { Credit } from "../protocol/stream-codec.ts";
import { Ring } from "./ring.ts";

export interface Window {
  /** Events and bytes that may be received and not done. */
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** A message that brought events. */
export interface Arrival {
  readonly message: Buffer;
  /** Sequence number of its first event. */
  readonly first: number;
  readonly count: number;
}

/**
 * The receiving side's book of one stream: what each event waits for, up to where all are done, and therefore what may be
 * acknowledged and how much credit that makes. Kept as columns, by sequence number, and the messages as they came: an
 * event that somebody works on is not kept alive, and collecting garbage is not made any dearer, by its bookkeeping.
 */
export class AckTracker {
  private readonly window: Window;
  /** How much each event waits for. */
  private open: Uint32Array;
  private sizes: Uint32Array;
  private readonly arrivals = new Ring<Arrival>();
  private arrivedCount = 0;
  private acked = 0;
  private ackedBytes = 0;
  private reported = 0;

  /** @param capacity Initial capacity; a power of two. */
  constructor(window: Window, capacity = 1024) {
    this.window = window;
    this.open = new Uint32Array(capacity);
    this.sizes = new Uint32Array(capacity);
  }

  /** Arrived and not acknowledged, counting what waits behind something older. */
  get inFlight(): number {
    return this.arrivedCount - this.acked;
  }

  /** How many have arrived, which is the sequence number of the last. */
  get received(): number {
    return this.arrivedCount;
  }

  /** Takes note of events that arrived together, at least one; each waits for one thing. */
  arrived(message: Buffer, events: readonly { readonly size: number }[]): void {
    const count = events.length;
    while (this.inFlight + count > this.open.length) this.grow();
    this.arrivals.push({ message, first: this.arrivedCount + 1, count });
    const mask = this.open.length - 1;
    for (let i = 0; i < count; i++) {
      const index = ++this.arrivedCount & mask;
      this.open[index] = 1;
      this.sizes[index] = events[i]!.size;
    }
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

  isDone(sequence: number): boolean {
    return sequence <= this.acked || this.open[sequence & (this.open.length - 1)] === 0;
  }

  /** Moves over everything that is done, and returns the acknowledgement to send, if there is a new one. */
  takeAck(): number | undefined {
    const { open, sizes, arrivedCount } = this;
    const mask = open.length - 1;
    let acked = this.acked;
    while (acked < arrivedCount && open[(acked + 1) & mask] === 0) this.ackedBytes += sizes[++acked & mask]!;
    this.acked = acked;
    while (this.arrivals.length > 0 && isOver(this.arrivals.at(0), acked)) this.arrivals.shift();
    if (acked === this.reported) return undefined;
    this.reported = acked;
    return acked;
  }

  /** What the other side may send in total. */
  credit(): Credit {
    return { maxSequence: this.acked + this.window.maxEvents, maxBytes: this.ackedBytes + this.window.maxBytes };
  }

  /** The sequence number up to which everything is acknowledged. */
  get acknowledged(): number {
    return this.acked;
  }

  /** The messages of which something could not be acknowledged yet, oldest first. */
  *unacknowledged(): Iterable<Arrival> {
    for (let i = 0; i < this.arrivals.length; i++) yield this.arrivals.at(i);
  }

  private grow(): void {
    const { open, sizes } = this;
    this.open = new Uint32Array(open.length * 2);
    this.sizes = new Uint32Array(open.length * 2);
    for (let sequence = this.acked + 1; sequence <= this.arrivedCount; sequence++) {
      const from = sequence & (open.length - 1);
      const to = sequence & (this.open.length - 1);
      this.open[to] = open[from]!;
      this.sizes[to] = sizes[from]!;
    }
  }
}

function isOver({ first, count }: Arrival, acked: number): boolean {
  return first + count - 1 <= acked;
}
