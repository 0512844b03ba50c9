import { FlowctlError } from "../foundation/errors.ts";
import type { EventView } from "../protocol/event-view.ts";
import type { SharedMemory } from "../protocol/slab-pool.ts";
import { type Credit, encodeEnd, OutgoingBatch } from "../protocol/stream-codec.ts";
import type { EventLog } from "./event-log.ts";
import { Ring } from "./ring.ts";
import { Runs } from "./runs.ts";

/** What carries a member's messages. Implemented over a gRPC call, and by tests. */
export interface MemberTransport {
  /** Sends one batch. False: it is queued, but no more may be sent until `Member.drained` is called. */
  send(batch: OutgoingBatch): boolean;
  /** Nothing follows; `message` is the last one. */
  finish(message: Buffer): void;
  /** Ends the stream with an error; nothing follows. */
  fail(error: FlowctlError): void;
}

/** What a member tells the group it belongs to. */
export interface MemberOwner {
  /** In which events may lie. */
  readonly memory: SharedMemory | undefined;
  /** The events at `count` log positions from `first` on are done by this member. */
  acknowledged(first: number, count: number): void;
  /** An event of this slot is done, or has to be sent again. */
  returned(slot: number): void;
  /** It has to be sent again, later. */
  refused(position: number, reason: string): void;
  /** It can take more than before. */
  ready(): void;
}

/** So many events go into one message, */
export const MAX_BATCH_EVENTS = 2048;
/** as long as those before the last have fewer bytes together than this. */
const MAX_BATCH_BYTES = 1024 * 1024;
/** The slot of an event in a group that is not shared by key. */
export const NO_SLOT = -1;

/**
 * One open stream to one downstream instance: its sequence numbers, its credit, and what it was sent and has not
 * acknowledged. Sequence numbers count from 1 on each stream.
 */
export class Member {
  readonly instanceId: string;
  private readonly transport: MemberTransport;
  private readonly owner: MemberOwner;
  private readonly positions = new Runs();
  /** Sequence numbers that were refused: what they stood for is no longer this stream's, whatever it is sent as again. */
  private readonly refused = new Set<number>();
  /** Slots of the keys, side by side with the positions; empty in a group that is not shared by key. */
  private readonly slots = new Ring<number>();
  private acked = 0;
  private sent = 0;
  private sentBytes = 0;
  private maxSequence = 0;
  private maxBytes = 0;
  private writable = true;
  private open = true;
  /** Being filled, and not sent. */
  private batch: OutgoingBatch;

  constructor(instanceId: string, transport: MemberTransport, owner: MemberOwner) {
    this.instanceId = instanceId;
    this.transport = transport;
    this.owner = owner;
    this.batch = this.nextBatch();
  }

  /** Sent or about to be, and not acknowledged. */
  get inFlight(): number {
    return this.positions.length;
  }

  /** The log position that it has had for longest without acknowledging it; undefined when there is none. */
  get oldest(): number | undefined {
    return this.positions.length === 0 ? undefined : this.positions.at(0);
  }

  get closed(): boolean {
    return !this.open;
  }

  /** Whether credit and transport allow an event of this size now. */
  canTake(bytes: number): boolean {
    if (!this.open || !this.writable || this.sent >= this.maxSequence) return false;
    return this.sentBytes + bytes <= this.maxBytes || this.positions.length === 0;
  }

  /** Puts an event into the batch being filled. The caller has asked `canTake`, and calls `flush` in the end. */
  add(event: EventView, position: number, slot: number): void {
    this.positions.push(position, 1);
    if (slot >= 0) this.slots.push(slot);
    this.sent++;
    this.sentBytes += event.size;
    this.batch.add(event.buffer, event.start, event.end);
    if (this.isFull) this.flush();
  }

  /**
   * Takes the events from `position` on, as many as credit and transport allow, at most `limit`; all of them have to be in
   * the log. Returns how many. The caller calls `flush` in the end.
   */
  addRun(log: EventLog, position: number, limit: number): number {
    let count = 0;
    while (count < limit && this.canTake(log.sizeOf(position + count))) {
      const events = Math.min(limit - count, this.maxSequence - this.sent, MAX_BATCH_EVENTS - this.batch.count);
      const room = this.maxBytes - this.sentBytes;
      const first = position + count;
      const { taken, bytes } = log.fill(this.batch, first, events, room, MAX_BATCH_BYTES);
      this.positions.push(first, taken);
      this.sent += taken;
      this.sentBytes += bytes;
      count += taken;
      if (this.isFull) this.flush();
    }
    return count;
  }

  private get isFull(): boolean {
    return this.batch.count >= MAX_BATCH_EVENTS || this.batch.size >= MAX_BATCH_BYTES;
  }

  /** Sends what is in the batch. */
  flush(): void {
    const { batch } = this;
    if (batch.count === 0 || !this.open) return;
    this.batch = this.nextBatch();
    if (!this.transport.send(batch)) this.writable = false;
  }

  /** The transport can take more. */
  drained(): void {
    this.writable = true;
    this.owner.ready();
  }

  /**
   * Everything up to `sequence` is done. An acknowledgement of what was not sent, or backwards, ends the stream.
   *
   * @param credit that came with it; see `grant`.
   */
  ack(sequence: number, credit?: Credit): void {
    if (!this.open) return;
    if (sequence > this.sent - this.batch.count) {
      this.violate(
        "stream/ack-of-unsent",
        `acknowledged ${sequence}, but only ${this.sent - this.batch.count} were sent`,
      );
      return;
    }
    if (sequence < this.acked) {
      this.violate("stream/ack-backwards", `acknowledged ${sequence} after ${this.acked}`);
      return;
    }
    if (credit !== undefined) this.raise(credit);
    const count = sequence - this.acked;
    if (this.slots.length > 0) this.returnSlots(count);
    this.positions.shift(count, this.acknowledged);
    this.owner.ready();
  }

  private readonly acknowledged = (first: number, count: number): void => {
    const sequence = this.acked + 1;
    this.acked += count;
    if (this.refused.size === 0) {
      this.owner.acknowledged(first, count);
      return;
    }
    for (let i = 0; i < count; i++) {
      if (!this.refused.delete(sequence + i)) this.owner.acknowledged(first + i, 1);
    }
  };

  /**
   * One event is to be sent again, after a pause, under a new sequence number, here or to another member. From now on this
   * sequence number stands for nothing: acknowledging it, which is needed to acknowledge what follows, says nothing of the
   * event. Refusing it twice changes nothing. Refusing what is acknowledged already, or was never sent, ends the stream.
   */
  nack(sequence: number, reason: string): void {
    if (!this.open) return;
    if (sequence <= this.acked || sequence > this.sent - this.batch.count) {
      this.violate("stream/nack-of-unsent", `refused ${sequence}, which is not in flight`);
      return;
    }
    const index = sequence - this.acked - 1;
    if (this.refused.has(sequence)) return;
    this.refused.add(sequence);
    const position = this.positions.at(index);
    if (this.slots.length > 0) {
      this.owner.returned(this.slots.at(index));
      this.slots.set(index, NO_SLOT);
    }
    this.owner.refused(position, reason);
  }

  /** Totals that may be sent. Lower totals than before change nothing. */
  grant(credit: Credit): void {
    this.raise(credit);
    this.owner.ready();
  }

  /** Nothing follows. Everything must be acknowledged. */
  finish(): void {
    if (!this.open) return;
    this.open = false;
    this.transport.finish(encodeEnd(this.sent));
  }

  /** Closes the member and returns the positions that were not acknowledged, in the order sent. */
  detach(): number[] {
    this.open = false;
    const positions: number[] = [];
    this.returnSlots(this.slots.length);
    let sequence = this.acked;
    this.positions.shift(this.positions.length, (first, count) => {
      for (let i = 0; i < count; i++) {
        if (!this.refused.delete(++sequence)) positions.push(first + i);
      }
    });
    this.batch.drop();
    this.batch = this.nextBatch();
    return positions;
  }

  /** Ends the stream with an error. The owner learns it by the transport's end. */
  fail(error: FlowctlError): void {
    if (this.open) this.transport.fail(error);
  }

  private raise({ maxSequence, maxBytes }: Credit): void {
    if (maxSequence > this.maxSequence) this.maxSequence = maxSequence;
    if (maxBytes > this.maxBytes) this.maxBytes = maxBytes;
  }

  private nextBatch(): OutgoingBatch {
    return new OutgoingBatch(this.sent + 1, this.owner.memory);
  }

  private returnSlots(count: number): void {
    for (let i = 0; i < count; i++) {
      const slot = this.slots.shift();
      if (slot !== NO_SLOT) this.owner.returned(slot);
    }
  }

  private violate(code: string, what: string): void {
    this.transport.fail(
      new FlowctlError({
        code,
        kind: "invalid",
        message: `${this.instanceId} broke the protocol: ${what}`,
        fix: "acknowledge sequence numbers in order, each only after its batch arrived",
      }),
    );
  }
}
