import type { EventView } from "../protocol/event-view.ts";

/** Told once, when every group that wants the event has acknowledged it. */
export interface Receipt {
  settle(): void;
}

/**
 * What was published and is not yet acknowledged by everyone who wants it, in order. Positions count from 0 and are
 * never reused. Memory is bounded by whoever appends: this only counts.
 */
export class EventLog {
  private events: (EventView | undefined)[];
  private receipts: (Receipt | undefined)[];
  private pending: Uint32Array;
  private dead: Uint8Array;
  /** The oldest position that is not settled; equal to `next` when everything is. */
  base = 0;
  /** The position that the next event gets. */
  next = 0;
  /** Encoded size of all unsettled events. */
  bytes = 0;
  /** Number of unsettled events. */
  unsettled = 0;

  /** @param capacity Initial capacity; a power of two. */
  constructor(capacity = 1024) {
    this.events = new Array<EventView | undefined>(capacity);
    this.receipts = new Array<Receipt | undefined>(capacity);
    this.pending = new Uint32Array(capacity);
    this.dead = new Uint8Array(capacity);
  }

  /** @param pending How many groups have to acknowledge it, at least 1. */
  append(event: EventView, receipt: Receipt, pending: number, deadLetter: boolean): number {
    if (this.next - this.base === this.events.length) this.grow();
    const position = this.next++;
    const index = position & (this.events.length - 1);
    this.events[index] = event;
    this.receipts[index] = receipt;
    this.pending[index] = pending;
    this.dead[index] = deadLetter ? 1 : 0;
    this.bytes += event.size;
    this.unsettled++;
    return position;
  }

  /** The event at a position that is not settled; undefined for a settled one. */
  get(position: number): EventView | undefined {
    return this.events[position & (this.events.length - 1)];
  }

  isDeadLetter(position: number): boolean {
    return this.dead[position & (this.events.length - 1)] === 1;
  }

  /** One group has acknowledged the event. Settles it when that was the last one. */
  acknowledge(position: number): void {
    const index = position & (this.events.length - 1);
    const left = this.pending[index]! - 1;
    this.pending[index] = left;
    if (left > 0) return;
    const receipt = this.receipts[index]!;
    this.bytes -= this.events[index]!.size;
    this.events[index] = undefined;
    this.receipts[index] = undefined;
    this.unsettled--;
    if (position === this.base) this.advance();
    receipt.settle();
  }

  private advance(): void {
    const mask = this.events.length - 1;
    let base = this.base;
    while (base < this.next && this.events[base & mask] === undefined) base++;
    this.base = base;
  }

  private grow(): void {
    const capacity = this.events.length * 2;
    const events = new Array<EventView | undefined>(capacity);
    const receipts = new Array<Receipt | undefined>(capacity);
    const pending = new Uint32Array(capacity);
    const dead = new Uint8Array(capacity);
    const mask = this.events.length - 1;
    for (let position = this.base; position < this.next; position++) {
      const from = position & mask;
      const to = position & (capacity - 1);
      events[to] = this.events[from];
      receipts[to] = this.receipts[from];
      pending[to] = this.pending[from]!;
      dead[to] = this.dead[from]!;
    }
    this.events = events;
    this.receipts = receipts;
    this.pending = pending;
    this.dead = dead;
  }
}
