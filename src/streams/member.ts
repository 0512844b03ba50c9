import { FlowctlError } from "../foundation/errors.ts";
import type { EventView } from "../protocol/event-view.ts";
import { type Credit, encodeBatch, encodeEnd } from "../protocol/stream-codec.ts";
import { Ring } from "./ring.ts";

/** What carries a member's messages. Implemented over a gRPC call, and by tests. */
export interface MemberTransport {
  /** Sends one encoded response. False: it is queued, but no more may be sent until `Member.drained` is called. */
  send(message: Buffer): boolean;
  /** Nothing follows; `message` is the last one. */
  finish(message: Buffer): void;
  /** Ends the stream with an error; nothing follows. */
  fail(error: FlowctlError): void;
}

/** What a member tells the group it belongs to. */
export interface MemberOwner {
  /** The event at this log position is done by this member. */
  acknowledged(position: number, slot: number): void;
  /** It has to be sent again, later. */
  refused(position: number, slot: number, reason: string): void;
  /** It can take more than before. */
  ready(): void;
}

const MAX_BATCH_EVENTS = 256;
const MAX_BATCH_BYTES = 64 * 1024;
const REFUSED = -1;
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
  private readonly positions = new Ring<number>();
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
    this.sent++;
    this.sentBytes += event.size;
    this.positions.push(position);
    if (slot >= 0) this.slots.push(slot);
    this.batch.push(event);
    this.batchBytes += event.end - event.start;
    if (this.batch.length >= MAX_BATCH_EVENTS || this.batchBytes >= MAX_BATCH_BYTES) this.flush();
  }

  /** Sends what is in the batch. */
  flush(): void {
    const count = this.batch.length;
    if (count === 0 || !this.open) return;
    const message = encodeBatch(this.sent - count + 1, this.batch, count, this.batchBytes);
    this.batch.length = 0;
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
    while (this.acked < sequence) {
      this.acked++;
      const position = this.positions.shift();
      const slot = this.takeSlot();
      if (position !== REFUSED) this.owner.acknowledged(position, slot);
    }
    this.owner.ready();
  }

  /** One event is to be sent again. Refusing what is acknowledged already, or was never sent, ends the stream. */
  nack(sequence: number, reason: string): void {
    if (!this.open) return;
    if (sequence <= this.acked || sequence > this.sent - this.batch.length) {
      this.violate("stream/nack-of-unsent", `refused ${sequence}, which is not in flight`);
      return;
    }
    const index = sequence - this.acked - 1;
    const position = this.positions.at(index);
    if (position === REFUSED) return;
    this.positions.set(index, REFUSED);
    this.owner.refused(position, this.slots.length > 0 ? this.slots.at(index) : NO_SLOT, reason);
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

  /** Closes the member and returns the positions that were not acknowledged, with their slots, in the order sent. */
  detach(): { positions: number[]; slots: number[] } {
    this.open = false;
    const positions: number[] = [];
    const slots: number[] = [];
    while (this.positions.length > 0) {
      const position = this.positions.shift();
      const slot = this.takeSlot();
      if (position === REFUSED) continue;
      positions.push(position);
      slots.push(slot);
    }
    this.batch.length = 0;
    return { positions, slots };
  }

  /** Ends the stream with an error. The owner learns it by the transport's end. */
  fail(error: FlowctlError): void {
    if (this.open) this.transport.fail(error);
  }

  private takeSlot(): number {
    return this.slots.length > 0 ? this.slots.shift() : NO_SLOT;
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
