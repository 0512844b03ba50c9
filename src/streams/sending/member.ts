import { FlowctlError } from "../../foundation/errors.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { SharedMemory } from "../../protocol/slab-pool.ts";
import { type Credit, encodeEnd, OutgoingBatch } from "../../protocol/stream-codec.ts";
import { Ring } from "../ring.ts";
import type { Outbox } from "./outbox.ts";
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
  /** An event of this slot is done, or has to be sent again. */
  returned(slot: number): void;
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
  private positions = new Runs<Outbox>();
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

  /** Sent or about to be, and neither acknowledged nor refused. */
  get inFlight(): number {
    return this.positions.length - this.refused.size;
  }

  get closed(): boolean {
    return !this.open;
  }

  /** Whether credit and transport allow an event of this size now. */
  canTake(bytes: number): boolean {
    if (!this.open || !this.writable || this.sent >= this.maxSequence) return false;
    return this.sentBytes + bytes <= this.maxBytes || this.inFlight === 0;
  }

  /**
   * Puts the event at a position of the outbox into the batch being filled. The caller has asked `canTake`, and calls `flush`
   * in the end.
   */
  add(event: EventView, outbox: Outbox, position: number, slot: number): void {
    this.positions.push(outbox, position, 1);
    if (slot >= 0) this.slots.push(slot);
    this.sent++;
    this.sentBytes += event.size;
    this.batch.add(event.buffer, event.start, event.end);
    if (this.isFull) this.flush();
  }

  /**
   * Takes the events from `position` on, as many as credit and transport allow, at most `limit`; all of them have to be in
   * the outbox's log. Returns how many. The caller calls `flush` in the end.
   */
  addRun(outbox: Outbox, position: number, limit: number): number {
    const { log } = outbox;
    let count = 0;
    while (count < limit && this.canTake(log.sizeOf(position + count))) {
      const events = Math.min(limit - count, this.maxSequence - this.sent, MAX_BATCH_EVENTS - this.batch.count);
      const room = this.maxBytes - this.sentBytes;
      const first = position + count;
      const { taken, bytes } = log.fill(this.batch, first, events, room, MAX_BATCH_BYTES);
      this.positions.push(outbox, first, taken);
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

  private readonly acknowledged = (outbox: Outbox, first: number, count: number): void => {
    const sequence = this.acked + 1;
    this.acked += count;
    if (this.refused.size === 0) {
      outbox.acknowledged(first, count);
      return;
    }
    for (let i = 0; i < count; i++) {
      if (!this.refused.delete(sequence + i)) outbox.acknowledged(first + i, 1);
    }
  };

  /**
   * One event is to be sent again, after a pause, under a new sequence number, here or to another member. From now on this
   * sequence number stands for nothing: acknowledging it, which is needed to acknowledge what follows, says nothing of the
   * event. Refusing it twice changes nothing. Refusing what is acknowledged already, or was never sent, ends the stream.
   */
  nack(sequence: number): void {
    if (!this.open) return;
    if (sequence <= this.acked || sequence > this.sent - this.batch.count) {
      this.violate("stream/nack-of-unsent", `refused ${sequence}, which is not in flight`);
      return;
    }
    const index = sequence - this.acked - 1;
    if (this.refused.has(sequence)) return;
    this.refused.add(sequence);
    if (this.slots.length > 0) {
      this.owner.returned(this.slots.at(index));
      this.slots.set(index, NO_SLOT);
    }
    const { owner, position } = this.positions.at(index);
    owner.refused(position);
    this.owner.ready();
  }

  /** Totals that may be sent. Lower totals than before change nothing. */
  grant(credit: Credit): void {
    this.raise(credit);
    this.owner.ready();
  }

  /**
   * Nothing follows. Everything must be acknowledged.
   *
   * @param drained Of this edge: the data goes on.
   */
  finish(drained: boolean): void {
    if (!this.open) return;
    this.open = false;
    this.transport.finish(encodeEnd(this.sent, drained));
  }

  /** Closes the member. What was not acknowledged goes back to where it came from. */
  detach(): void {
    this.open = false;
    this.returnSlots(this.slots.length);
    const { positions } = this;
    this.eachOwed((outbox, first, count) => outbox.returned(first, count));
    this.refused.clear();
    positions.shift(positions.length, () => undefined);
    this.batch.drop();
    this.batch = this.nextBatch();
  }

  /** The positions of this outbox that the member has and owes an acknowledgement of, in the order sent. */
  positionsOf(outbox: Outbox): number[] {
    const positions: number[] = [];
    this.eachOwed((owner, first, count) => {
      if (owner === outbox) for (let i = 0; i < count; i++) positions.push(first + i);
    });
    return positions;
  }

  /** Whether it has something of this outbox from before that position, and owes an acknowledgement of it. */
  hasBefore(outbox: Outbox, position: number): boolean {
    // Refused ones are sent again by the outbox, which knows of them; a run of them alone is rare, and looked at for longer then.
    if (this.refused.size === 0) return this.positions.some((owner, first) => owner === outbox && first < position);
    let found = false;
    this.eachOwed((owner, first) => {
      found ||= owner === outbox && first < position;
    });
    return found;
  }

  /** What the member has of this outbox lies at other places of its log now. */
  moved(outbox: Outbox, places: ReadonlyMap<number, number>): void {
    const { positions } = this;
    this.positions = new Runs();
    positions.forEach((owner, first, count) => {
      if (owner !== outbox) this.positions.push(owner, first, count);
      else for (let i = 0; i < count; i++) this.positions.push(owner, places.get(first + i) ?? first + i, 1);
    });
  }

  /** From now on events have slots, or no longer. Nothing is in flight. */
  forgetSlots(keyed: boolean): void {
    this.returnSlots(this.slots.length);
    if (keyed) for (let i = 0; i < this.positions.length; i++) this.slots.push(NO_SLOT);
  }

  /** Ends the stream with an error. The owner learns it by the transport's end. */
  fail(error: FlowctlError): void {
    if (this.open) this.transport.fail(error);
  }

  /** Shows what the member has and has not refused. */
  private eachOwed(each: (outbox: Outbox, first: number, count: number) => void): void {
    let sequence = this.acked;
    this.positions.forEach((outbox, first, count) => {
      if (this.refused.size === 0) each(outbox, first, count);
      else for (let i = 0; i < count; i++) if (!this.refused.has(++sequence)) each(outbox, first + i, 1);
    });
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
        message: `protocol violation by ${this.instanceId}: ${what}`,
        fix: "acknowledge sequence numbers in order, each only after its batch arrived",
      }),
    );
  }
}
