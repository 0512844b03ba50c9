import { FlowctlError } from "../foundation/errors.ts";
import type { EventView } from "../protocol/event-view.ts";
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
  /** The events at `count` log positions from `first` on are done by this member. */
  acknowledged(first: number, count: number): void;
  /** An event of this slot is done, or has to be sent again. */
  returned(slot: number): void;
  /** It has to be sent again, later. */
  refused(position: number, reason: string): void;
  /** It can take more than before. */
  ready(): void;
}

const MAX_BATCH_EVENTS = 256;
const MAX_BATCH_BYTES = 64 * 1024;
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
  /** Positions among them that were refused: somebody else's by now. */
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
  private batch: EventView[] = [];
  private batchBytes = 0;

  constructor(instanceId: string, transport: MemberTransport, owner: MemberOwner) {
    this.instanceId = instanceId;
    this.transport = transport;
    this.owner = owner;
  }

  /** Sent or about to be, and not acknowledged. */
  get inFlight(): number {
    return this.positions.length;
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
    this.put(event);
  }

  /**
   * Takes the events from `position` on, as many as credit and transport allow, at most `limit`; all of them have to be in
   * the log. Returns how many. The caller calls `flush` in the end.
   */
  addRun(log: EventLog, position: number, limit: number): number {
    let count = 0;
    while (count < limit) {
      const event = log.get(position + count)!;
      if (!this.canTake(event.size)) break;
      // One by one, since what is in flight decides whether the next may go.
      this.positions.push(position + count, 1);
      this.put(event);
      count++;
    }
    return count;
  }

  private put(event: EventView): void {
    this.sent++;
    this.sentBytes += event.size;
    this.batch.push(event);
    this.batchBytes += event.end - event.start;
    if (this.batch.length >= MAX_BATCH_EVENTS || this.batchBytes >= MAX_BATCH_BYTES) this.flush();
  }

  /** Sends what is in the batch. */
  flush(): void {
    const { batch } = this;
    if (batch.length === 0 || !this.open) return;
    const message = new OutgoingBatch(this.sent - batch.length + 1, batch, this.batchBytes);
    this.batch = [];
    this.batchBytes = 0;
    if (!this.transport.send(message)) this.writable = false;
  }

  /** The transport can take more. */
  drained(): void {
    this.writable = true;
    this.owner.ready();
  }

  /** Everything up to `sequence` is done. An acknowledgement of what was not sent, or backwards, ends the stream. */
  ack(sequence: number): void {
    if (!this.open) return;
    if (sequence > this.sent - this.batch.length) {
      this.violate(
        "stream/ack-of-unsent",
        `acknowledged ${sequence}, but only ${this.sent - this.batch.length} were sent`,
      );
      return;
    }
    if (sequence < this.acked) {
      this.violate("stream/ack-backwards", `acknowledged ${sequence} after ${this.acked}`);
      return;
    }
    const count = sequence - this.acked;
    this.acked = sequence;
    if (this.slots.length > 0) this.returnSlots(count);
    this.positions.shift(count, this.acknowledged);
    this.owner.ready();
  }

  private readonly acknowledged = (first: number, count: number): void => {
    if (this.refused.size === 0) {
      this.owner.acknowledged(first, count);
      return;
    }
    for (let position = first; position < first + count; position++) {
      if (!this.refused.delete(position)) this.owner.acknowledged(position, 1);
    }
  };

  /** One event is to be sent again. Refusing what is acknowledged already, or was never sent, ends the stream. */
  nack(sequence: number, reason: string): void {
    if (!this.open) return;
    if (sequence <= this.acked || sequence > this.sent - this.batch.length) {
      this.violate("stream/nack-of-unsent", `refused ${sequence}, which is not in flight`);
      return;
    }
    const index = sequence - this.acked - 1;
    const position = this.positions.at(index);
    if (this.refused.has(position)) return;
    this.refused.add(position);
    if (this.slots.length > 0) {
      this.owner.returned(this.slots.at(index));
      this.slots.set(index, NO_SLOT);
    }
    this.owner.refused(position, reason);
  }

  /** Totals that may be sent. Lower totals than before change nothing. */
  grant(credit: Credit): void {
    if (credit.maxSequence > this.maxSequence) this.maxSequence = credit.maxSequence;
    if (credit.maxBytes > this.maxBytes) this.maxBytes = credit.maxBytes;
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
    this.positions.shift(this.positions.length, (first, count) => {
      for (let position = first; position < first + count; position++) {
        if (!this.refused.delete(position)) positions.push(position);
      }
    });
    this.batch = [];
    this.batchBytes = 0;
    return positions;
  }

  /** Ends the stream with an error. The owner learns it by the transport's end. */
  fail(error: FlowctlError): void {
    if (this.open) this.transport.fail(error);
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
