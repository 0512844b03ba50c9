import { EventView } from "../../protocol/event-view.ts";
import type { SharedMemory } from "../../protocol/slab-pool.ts";
import type { OutgoingBatch } from "../../protocol/stream-codec.ts";
import { malformed, WireReader } from "../../protocol/wire.ts";
import type { Receipt } from "../receipt.ts";
import { EventColumns } from "./event-columns.ts";
import { type Block, MemoryBlocks } from "./memory-blocks.ts";

/**
 * So many settled events may lie between those that are not, before whoever appends has to wait, or drop. An instance that is
 * stuck on a few events while its siblings go on fills no window, but all that is newer than these is kept in mind, here and
 * by sources.
 */
export const MAX_GAPS = 256 * 1024;

/** So many bytes of memory may be held before it is worth a look how much of it is needed. */
const COMPACT_AT = 32 * 1024 * 1024;

/**
 * What was published and is not yet acknowledged by everyone who wants it, in order. Positions count from 0 and are
 * never reused. Memory is bounded by whoever appends: this only counts.
 *
 * Of an event only its row is kept, and once for all neighbours in which memory they lie and whom to tell. So a run of events is
 * acknowledged without a look at each of them.
 */
export class EventLog {
  private readonly columns: EventColumns;
  private readonly memory: MemoryBlocks;
  /** Size of what is not settled, with tags and lengths. */
  private needed = 0;
  /** The oldest position that is not settled; equal to `next` when everything is. */
  base = 0;
  /** The position that the next event gets. */
  next = 0;
  /** Number of unsettled events. */
  unsettled = 0;
  /** The position behind the newest dead letter, settled or not; 0 when there never was one. */
  afterDeadLetters = 0;
  /** The position behind the newest event that more than one group has to acknowledge, settled or not. */
  private afterShared = 0;

  /**
   * @param memory in which events may lie: retained as long as they are not settled.
   * @param capacity Initial capacity; a power of two.
   * @param compactAt How many bytes of memory may be held, if that is more than eight times what is needed, before what is not
   *   settled is copied out.
   */
  constructor(memory?: SharedMemory, capacity = 1024, compactAt = COMPACT_AT) {
    this.columns = new EventColumns(capacity);
    this.memory = new MemoryBlocks(memory, capacity, compactAt);
  }

  /** @param pending How many groups have to acknowledge it, at least 1. */
  append(event: EventView, receipt: Receipt, tag: number, pending: number, deadLetter: boolean): number {
    const block = this.blockFor(event.buffer, receipt, 1);
    block.unsettled++;
    block.count++;
    const { columns } = this;
    const position = this.next++;
    const index = position & columns.mask;
    columns.blocks[index] = block.number;
    columns.starts[index] = event.start;
    columns.bodies[index] = event.body;
    columns.ends[index] = event.end;
    columns.tags[index] = tag;
    columns.pending[index] = pending;
    columns.dead[index] = deadLetter ? 1 : 0;
    this.unsettled++;
    this.needed += event.end - event.start;
    if (deadLetter) this.afterDeadLetters = this.next;
    if (pending > 1) this.afterShared = this.next;
    return position;
  }

  /**
   * Appends `count` events that lie side by side in the buffer from `start` on, each with tag and length as in an EventBatch, and
   * whose tags follow each other from `tag` on. Each has to be acknowledged by `pending` groups. Returns how many bytes they have
   * together, without tags and lengths. Throws `protocol/malformed`.
   */
  appendRun(buffer: Buffer, start: number, count: number, receipt: Receipt, tag: number, pending: number): number {
    const block = this.blockFor(buffer, receipt, count);
    const { columns } = this;
    let at = start;
    let bytes = 0;
    for (let index = 0; index < count; index++) {
      const low = buffer[at + 1]!;
      const high = buffer[at + 2]!;
      let body = at + 2;
      let end = body + low;
      // A length of one or two bytes is nearly all there is.
      if (low > 0x7f && high < 0x80) {
        body = at + 3;
        end = body + ((low & 0x7f) | (high << 7));
      } else if (low > 0x7f) {
        const reader = new WireReader(buffer, at);
        reader.tag();
        end = reader.lengthEnd();
        body = reader.position;
      }
      const row = (this.next + index) & columns.mask;
      columns.blocks[row] = block.number;
      columns.starts[row] = at;
      columns.bodies[row] = body;
      columns.ends[row] = end;
      columns.tags[row] = tag + index;
      columns.pending[row] = pending;
      columns.dead[row] = 0;
      bytes += end - body;
      at = end;
    }
    if (at > buffer.length) throw malformed(`a run of ${count} events exceeds its memory`);
    block.unsettled += count;
    block.count += count;
    this.next += count;
    this.unsettled += count;
    this.needed += at - start;
    if (pending > 1) this.afterShared = this.next;
    return bytes;
  }

  /** The tag of the oldest event that is not settled; undefined when everything is. */
  get oldestTag(): number | undefined {
    return this.unsettled === 0 ? undefined : this.columns.tags[this.base & this.columns.mask];
  }

  /** The event at a position that is not settled; undefined for a settled one. */
  get(position: number): EventView<undefined> | undefined {
    const { mask, pending, starts, bodies, ends } = this.columns;
    const index = position & mask;
    if (position < this.base || pending[index] === 0) return undefined;
    return new EventView(this.blockAt(index).buffer, starts[index]!, bodies[index]!, ends[index]!, undefined, 0);
  }

  /** Size of what is not settled, with tags and lengths. */
  get bytes(): number {
    return this.needed;
  }

  /** How many settled events lie behind the oldest that is not. */
  get gaps(): number {
    return this.next - this.base - this.unsettled;
  }

  /** Size in bytes of the event at a position. */
  sizeOf(position: number): number {
    const { mask, bodies, ends } = this.columns;
    return ends[position & mask]! - bodies[position & mask]!;
  }

  /**
   * Puts events from `position` on into the batch: the first in any case, then up to `limit` while they have at most `room`
   * bytes together and the batch less than `maxSize`; all have to be in the log, and not settled. Returns how many, and
   * how many bytes they have together.
   */
  fill(batch: OutgoingBatch, position: number, limit: number, room: number, maxSize: number): Filled {
    const { mask, starts, bodies, ends } = this.columns;
    let taken = 0;
    let bytes = 0;
    while (taken < limit && batch.size < maxSize) {
      // As many as lie side by side in memory are added at once.
      const first = position + taken;
      const block = this.blockAt(first & mask);
      const most = Math.min(limit - taken, block.first + block.count - first);
      const start = starts[first & mask]!;
      let end = start;
      let count = 0;
      while (count < most && batch.size + (end - start) < maxSize) {
        const index = (first + count) & mask;
        const size = ends[index]! - bodies[index]!;
        if (starts[index] !== end || (taken + count > 0 && bytes + size > room)) break;
        bytes += size;
        end = ends[index]!;
        count++;
      }
      if (count === 0) break;
      batch.add(block.buffer, start, end, count);
      taken += count;
    }
    return { taken, bytes };
  }

  /** One more group has to acknowledge an event that is not settled. */
  share(position: number): void {
    this.columns.pending[position & this.columns.mask]!++;
    this.afterShared = Math.max(this.afterShared, position + 1);
  }

  isDeadLetter(position: number): boolean {
    return this.columns.dead[position & this.columns.mask] === 1;
  }

  /**
   * One group has acknowledged `count` events in a row. Settles those for which that was the last one. Returns how many
   * bytes they have together.
   */
  acknowledge(first: number, count: number): number {
    const { mask, bodies, ends } = this.columns;
    const end = first + count;
    let bytes = 0;
    for (let position = first; position < end; position++) bytes += ends[position & mask]! - bodies[position & mask]!;
    // What is settled may publish more and let the log grow: nothing of it is kept across.
    for (let position = first; position < end; ) {
      const taken = position >= this.afterShared ? this.acknowledgeRun(position, end) : 0;
      if (taken === 0) this.acknowledgeOne(position);
      position += Math.max(1, taken);
    }
    return bytes;
  }

  /**
   * The last group has acknowledged the event, and those after it up to `end`: settles at once as many as have the same
   * receipt and tags that follow each other. Returns how many; none when the receipt wants to be told of each.
   */
  private acknowledgeRun(first: number, end: number): number {
    const { mask, tags, pending, starts, ends } = this.columns;
    const block = this.blockAt(first & mask);
    const { receipt } = block;
    if (receipt.settleRun === undefined) return 0;
    const tag = tags[first & mask]!;
    const most = Math.min(end, block.first + block.count) - first;
    let count = 0;
    while (count < most && tags[(first + count) & mask] === tag + count) {
      const index = (first + count) & mask;
      pending[index] = 0;
      this.needed -= ends[index]! - starts[index]!;
      count++;
    }
    this.unsettled -= count;
    this.memory.settle(block, count);
    if (first === this.base) this.advance(first + count);
    receipt.settleRun(tag, count);
    return count;
  }

  private acknowledgeOne(position: number): void {
    const { columns } = this;
    const index = position & columns.mask;
    const left = columns.pending[index]! - 1;
    columns.pending[index] = left;
    if (left > 0) return;
    const block = this.blockAt(index);
    this.needed -= columns.ends[index]! - columns.starts[index]!;
    this.unsettled--;
    this.memory.settle(block, 1);
    if (position === this.base) this.advance(position + 1);
    block.receipt.settle(columns.tags[index]!);
  }

  /** Everything before `position` is settled. */
  private advance(position: number): void {
    const { mask, pending } = this.columns;
    let base = position;
    while (base < this.next && pending[base & mask] === 0) base++;
    this.base = base;
  }

  private blockAt(index: number): Block {
    return this.memory.at(this.columns.blocks[index]!);
  }

  /** The block in which the next events lie, for which there is room. */
  private blockFor(buffer: Buffer, receipt: Receipt, count: number): Block {
    const { memory, columns } = this;
    while (this.next + count - this.base > columns.mask + 1) {
      columns.grow(this.base, this.next);
      memory.grow();
    }
    const current = memory.current(buffer, receipt);
    if (current !== undefined) return current;
    if (memory.isWorthCompacting(this.needed)) memory.compact(columns, this.base, this.next);
    return memory.begin(buffer, receipt, this.next);
  }
}

/** What was put into a batch. */
export interface Filled {
  readonly taken: number;
  readonly bytes: number;
}
