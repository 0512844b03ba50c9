import type { EventView } from "../protocol/event-view.ts";

/** Told when every group that wants an event has acknowledged it. */
export interface Receipt {
  /** Called once for each event that was published with this receipt, with the tag that it was published with. */
  settle(tag: number): void;
}

/**
 * What was published and is not yet acknowledged by everyone who wants it, in order. Positions count from 0 and are
 * never reused. Memory is bounded by whoever appends: this only counts. Kept as columns, so that a run of events is
 * acknowledged without a look at each of them.
 */
export class EventLog {
  private events: (EventView | undefined)[];
  private receipts: (Receipt | undefined)[];
  private tags: Float64Array;
  private sizes: Uint32Array;
  private pending: Uint32Array;
  private dead: Uint8Array;
  /** The oldest position that is not settled; equal to `next` when everything is. */
  base = 0;
  /** The position that the next event gets. */
  next = 0;
  /** Number of unsettled events. */
  unsettled = 0;
  /** Number of dead letters among them. */
  unsettledDeadLetters = 0;

  /** @param capacity Initial capacity; a power of two. */
  constructor(capacity = 1024) {
    this.events = new Array<EventView | undefined>(capacity).fill(undefined);
    this.receipts = new Array<Receipt | undefined>(capacity).fill(undefined);
    this.tags = new Float64Array(capacity);
    this.sizes = new Uint32Array(capacity);
    this.pending = new Uint32Array(capacity);
    this.dead = new Uint8Array(capacity);
  }

  /** @param pending How many groups have to acknowledge it, at least 1. */
  append(event: EventView, receipt: Receipt, tag: number, pending: number, deadLetter: boolean): number {
    if (this.next - this.base === this.events.length) this.grow();
    const position = this.next++;
    const index = position & (this.events.length - 1);
    this.events[index] = event;
    this.receipts[index] = receipt;
    this.tags[index] = tag;
    this.sizes[index] = event.size;
    this.pending[index] = pending;
    this.dead[index] = deadLetter ? 1 : 0;
    this.unsettled++;
    if (deadLetter) this.unsettledDeadLetters++;
    return position;
  }

  /** The event at a position that is not settled; undefined for a settled one. */
  get(position: number): EventView | undefined {
    return this.events[position & (this.events.length - 1)];
  }

  isDeadLetter(position: number): boolean {
    return this.dead[position & (this.events.length - 1)] === 1;
  }

  /**
   * One group has acknowledged `count` events in a row. Settles those for which that was the last one. Returns how many
   * bytes they have together.
   */
  acknowledge(first: number, count: number): number {
    const mask = this.events.length - 1;
    let bytes = 0;
    for (let position = first; position < first + count; position++) bytes += this.sizes[position & mask]!;
    // What is settled may publish more and let the log grow: nothing of it is kept across.
    for (let position = first; position < first + count; position++) this.acknowledgeOne(position);
    return bytes;
  }

  private acknowledgeOne(position: number): void {
    const index = position & (this.events.length - 1);
    const left = this.pending[index]! - 1;
    this.pending[index] = left;
    if (left > 0) return;
    const receipt = this.receipts[index]!;
    this.events[index] = undefined;
    this.receipts[index] = undefined;
    this.unsettled--;
    if (this.dead[index] === 1) this.unsettledDeadLetters--;
    if (position === this.base) this.advance();
    receipt.settle(this.tags[index]!);
  }

  private advance(): void {
    const mask = this.events.length - 1;
    let base = this.base + 1;
    while (base < this.next && this.events[base & mask] === undefined) base++;
    this.base = base;
  }

  private grow(): void {
    const { events, receipts, tags, sizes, pending, dead } = this;
    const capacity = events.length * 2;
    this.events = new Array<EventView | undefined>(capacity).fill(undefined);
    this.receipts = new Array<Receipt | undefined>(capacity).fill(undefined);
    this.tags = new Float64Array(capacity);
    this.sizes = new Uint32Array(capacity);
    this.pending = new Uint32Array(capacity);
    this.dead = new Uint8Array(capacity);
    for (let position = this.base; position < this.next; position++) {
      const from = position & (events.length - 1);
      const to = position & (capacity - 1);
      this.events[to] = events[from];
      this.receipts[to] = receipts[from];
      this.tags[to] = tags[from]!;
      this.sizes[to] = sizes[from]!;
      this.pending[to] = pending[from]!;
      this.dead[to] = dead[from]!;
    }
  }
}
