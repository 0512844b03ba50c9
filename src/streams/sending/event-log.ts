import { EventView } from "../../protocol/event-view.ts";
import type { SharedMemory } from "../../protocol/slab-pool.ts";
import type { OutgoingBatch } from "../../protocol/stream-codec.ts";
import { malformed, WireReader } from "../../protocol/wire.ts";
import type { Receipt } from "../receipt.ts";

/**
 * So many settled events may lie between those that are not, before whoever appends has to wait, or drop. An instance that is
 * stuck on a few events while its siblings go on fills no window, but all that is newer than these is kept in mind, here and
 * by sources.
 */
export const MAX_GAPS = 256 * 1024;

/** So many bytes of memory may be held before somebody looks how much of it is needed. */
const COMPACT_AT = 32 * 1024 * 1024;
/** And so many times what is needed: compacting leaves at most half of that. */
const WORTH_COMPACTING = 8;

/**
 * What was published and is not yet acknowledged by everyone who wants it, in order. Positions count from 0 and are
 * never reused. Memory is bounded by whoever appends: this only counts.
 *
 * Kept as columns: of an event only where its bytes lie, and once for all neighbours in which memory, and whom to tell.
 * So a run of events is acknowledged without a look at each of them, and the thousands that are under way at any time are
 * no objects that the garbage collector has to follow.
 */
export class EventLog {
  private readonly memory: SharedMemory | undefined;
  private columns: Columns;
  private mask: number;
  /** By their number; never more than there are positions. */
  private blocks: (Block | undefined)[];
  private nextBlock = 0;
  private last: Block | undefined;
  /** Size of the memory that is held, what is settled in it included. */
  private held = 0;
  /** Size of what is not settled, with tags and lengths. */
  private needed = 0;
  private readonly compactAt: number;
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
    this.memory = memory;
    this.compactAt = compactAt;
    this.columns = makeColumns(capacity);
    this.blocks = new Array<Block | undefined>(capacity).fill(undefined);
    this.mask = capacity - 1;
  }

  /** @param pending How many groups have to acknowledge it, at least 1. */
  append(event: EventView, receipt: Receipt, tag: number, pending: number, deadLetter: boolean): number {
    if (this.next - this.base > this.mask) this.grow();
    const block = this.blockFor(event.buffer, receipt);
    block.unsettled++;
    block.count++;
    const position = this.next++;
    const index = position & this.mask;
    const { columns } = this;
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
    while (this.next + count - this.base > this.mask + 1) this.grow();
    const block = this.blockFor(buffer, receipt);
    const { columns, mask } = this;
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
      const row = (this.next + index) & mask;
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
    return this.unsettled === 0 ? undefined : this.columns.tags[this.base & this.mask];
  }

  /** The event at a position that is not settled; undefined for a settled one. */
  get(position: number): EventView<undefined> | undefined {
    const index = position & this.mask;
    const { pending, starts, bodies, ends } = this.columns;
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
    const index = position & this.mask;
    return this.columns.ends[index]! - this.columns.bodies[index]!;
  }

  /**
   * Puts events from `position` on into the batch: the first in any case, then up to `limit` while they have at most `room`
   * bytes together and the batch less than `maxSize`; all have to be in the log, and not settled. Returns how many, and
   * how many bytes they have together.
   */
  fill(batch: OutgoingBatch, position: number, limit: number, room: number, maxSize: number): Filled {
    const { mask } = this;
    const { starts, bodies, ends } = this.columns;
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
    this.columns.pending[position & this.mask]!++;
    this.afterShared = Math.max(this.afterShared, position + 1);
  }

  isDeadLetter(position: number): boolean {
    return this.columns.dead[position & this.mask] === 1;
  }

  /**
   * One group has acknowledged `count` events in a row. Settles those for which that was the last one. Returns how many
   * bytes they have together.
   */
  acknowledge(first: number, count: number): number {
    const { mask } = this;
    const { bodies, ends } = this.columns;
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
    const { mask } = this;
    const { tags, pending, starts, ends } = this.columns;
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
    block.unsettled -= count;
    if (block.unsettled === 0) this.finish(block);
    if (first === this.base) this.advance(first + count);
    receipt.settleRun(tag, count);
    return count;
  }

  private acknowledgeOne(position: number): void {
    const index = position & this.mask;
    const { columns } = this;
    const left = columns.pending[index]! - 1;
    columns.pending[index] = left;
    if (left > 0) return;
    const block = this.blockAt(index);
    this.needed -= columns.ends[index]! - columns.starts[index]!;
    this.unsettled--;
    if (--block.unsettled === 0) this.finish(block);
    if (position === this.base) this.advance(position + 1);
    block.receipt.settle(columns.tags[index]!);
  }

  /** Everything before `position` is settled. */
  private advance(position: number): void {
    const { pending } = this.columns;
    let base = position;
    while (base < this.next && pending[base & this.mask] === 0) base++;
    this.base = base;
  }

  private blockAt(index: number): Block {
    return this.blocks[this.columns.blocks[index]! & this.mask]!;
  }

  private blockFor(buffer: Buffer, receipt: Receipt): Block {
    const { last } = this;
    if (last !== undefined && last.buffer === buffer && last.receipt === receipt) return last;
    if (this.held > this.compactAt && this.held > WORTH_COMPACTING * this.needed) this.compact();
    // Neighbours with other receipts may lie in the same memory.
    const held = last?.buffer === buffer ? 0 : buffer.length;
    const block: Block = { number: this.nextBlock, buffer, receipt, first: this.next, count: 0, unsettled: 0, held };
    this.held += held;
    this.nextBlock = (this.nextBlock + 1) >>> 0;
    this.blocks[block.number & this.mask] = block;
    this.last = block;
    this.memory?.retain(buffer);
    return block;
  }

  /** All that the block has so far is settled. */
  private finish(block: Block): void {
    this.blocks[block.number & this.mask] = undefined;
    if (this.last === block) this.last = undefined;
    this.held -= block.held;
    this.memory?.release(block.buffer);
  }

  /**
   * Copies what is not settled out of memory that is mostly needed for nothing else: some events that a group does not
   * acknowledge for long would otherwise keep all their neighbours. Looks at all events, and not again before twice as much
   * is held, or half as much is needed.
   */
  private compact(): void {
    const { pending, starts, bodies, ends } = this.columns;
    const needed = new Map<Block, number>();
    for (let position = this.base; position < this.next; position++) {
      const index = position & this.mask;
      if (pending[index] === 0) continue;
      const block = this.blockAt(index);
      needed.set(block, (needed.get(block) ?? 0) + ends[index]! - starts[index]!);
    }
    const copies = new Map<Block, { readonly buffer: Buffer; used: number }>();
    for (const [block, bytes] of needed) {
      if (bytes <= block.buffer.length / 4) copies.set(block, { buffer: Buffer.allocUnsafeSlow(bytes), used: 0 });
    }
    for (let position = this.base; position < this.next; position++) {
      const index = position & this.mask;
      if (pending[index] === 0) continue;
      const block = this.blockAt(index);
      const copy = copies.get(block);
      if (copy === undefined) continue;
      const moved = copy.used - starts[index]!;
      copy.used += block.buffer.copy(copy.buffer, copy.used, starts[index], ends[index]);
      starts[index]! += moved;
      bodies[index]! += moved;
      ends[index]! += moved;
    }
    for (const [block, { buffer }] of copies) {
      this.memory?.retain(buffer);
      this.memory?.release(block.buffer);
      this.held += buffer.length - block.held;
      block.buffer = buffer;
      block.held = buffer.length;
    }
  }

  private grow(): void {
    const before = this.columns;
    const oldMask = this.mask;
    this.columns = makeColumns((oldMask + 1) * 2);
    this.mask = oldMask * 2 + 1;
    for (let position = this.base; position < this.next; position++)
      copyRow(before, position & oldMask, this.columns, position & this.mask);
    const blocks = this.blocks;
    this.blocks = new Array<Block | undefined>(this.mask + 1).fill(undefined);
    for (const block of blocks) if (block !== undefined) this.blocks[block.number & this.mask] = block;
  }
}

/** What was put into a batch. */
export interface Filled {
  readonly taken: number;
  readonly bytes: number;
}

/** What neighbours have in common. */
interface Block {
  readonly number: number;
  buffer: Buffer;
  readonly receipt: Receipt;
  /** Position of the first, and how many there are, settled or not: they follow each other. */
  readonly first: number;
  count: number;
  unsettled: number;
  /** What it adds to the memory that is held. */
  held: number;
}

interface Columns {
  /** Number of the block of each event. */
  readonly blocks: Uint32Array;
  /** Where each event lies in its buffer: with tag and length, without, and its end. */
  readonly starts: Uint32Array;
  readonly bodies: Uint32Array;
  readonly ends: Uint32Array;
  readonly tags: Float64Array;
  /** How many groups have to acknowledge it; 0: it is settled. */
  readonly pending: Uint32Array;
  readonly dead: Uint8Array;
}

function makeColumns(capacity: number): Columns {
  return {
    blocks: new Uint32Array(capacity),
    starts: new Uint32Array(capacity),
    bodies: new Uint32Array(capacity),
    ends: new Uint32Array(capacity),
    tags: new Float64Array(capacity),
    pending: new Uint32Array(capacity),
    dead: new Uint8Array(capacity),
  };
}

function copyRow(from: Columns, index: number, to: Columns, target: number): void {
  to.blocks[target] = from.blocks[index]!;
  to.starts[target] = from.starts[index]!;
  to.bodies[target] = from.bodies[index]!;
  to.ends[target] = from.ends[index]!;
  to.tags[target] = from.tags[index]!;
  to.pending[target] = from.pending[index]!;
  to.dead[target] = from.dead[index]!;
}
