import type { SharedMemory } from "../../protocol/slab-pool.ts";
import type { Receipt } from "../receipt.ts";
import type { EventColumns } from "./event-columns.ts";

/** How many times what is needed may be held: compacting leaves at most half of that. */
const WORTH_COMPACTING = 8;

/** Events that follow each other in a log, lie in the same memory and have the same receipt. */
export interface Block {
  readonly number: number;
  buffer: Buffer;
  readonly receipt: Receipt;
  /** Position of the first, and how many there are, settled or not. */
  readonly first: number;
  count: number;
  unsettled: number;
  /** What it adds to the memory that is held, in bytes. */
  held: number;
}

/**
 * The memory in which the events of a log lie, retained as long as one of them is not settled. What holds far more than it needs
 * is copied out: some events that a group does not acknowledge for long would otherwise keep all their neighbours.
 */
export class MemoryBlocks {
  private readonly memory: SharedMemory | undefined;
  private readonly compactAt: number;
  /** By their number; never more than there are positions in the log. */
  private blocks: (Block | undefined)[];
  private mask: number;
  private nextNumber = 0;
  private last: Block | undefined;
  /** Size of the memory that is held, what is settled in it included. */
  private held = 0;

  /**
   * @param memory in which events may lie.
   * @param capacity How many blocks there may be; a power of two.
   * @param compactAt How many bytes may be held before it is worth a look how much of it is needed.
   */
  constructor(memory: SharedMemory | undefined, capacity: number, compactAt: number) {
    this.memory = memory;
    this.compactAt = compactAt;
    this.blocks = new Array<Block | undefined>(capacity).fill(undefined);
    this.mask = capacity - 1;
  }

  /** The block of that number, which must exist. */
  at(number: number): Block {
    return this.blocks[number & this.mask]!;
  }

  /** The newest block, if an event in that memory with that receipt belongs to it. */
  current(buffer: Buffer, receipt: Receipt): Block | undefined {
    const { last } = this;
    return last !== undefined && last.buffer === buffer && last.receipt === receipt ? last : undefined;
  }

  /** A new block for the event at `position`, which comes next. */
  begin(buffer: Buffer, receipt: Receipt, position: number): Block {
    // Neighbours with other receipts may lie in the same memory.
    const held = this.last?.buffer === buffer ? 0 : buffer.length;
    const block: Block = { number: this.nextNumber, buffer, receipt, first: position, count: 0, unsettled: 0, held };
    this.held += held;
    this.nextNumber = (this.nextNumber + 1) >>> 0;
    this.blocks[block.number & this.mask] = block;
    this.last = block;
    this.memory?.retain(buffer);
    return block;
  }

  /** So many events of the block are settled. Its memory is released when that were all it has so far. */
  settle(block: Block, count: number): void {
    block.unsettled -= count;
    if (block.unsettled > 0) return;
    this.blocks[block.number & this.mask] = undefined;
    if (this.last === block) this.last = undefined;
    this.held -= block.held;
    this.memory?.release(block.buffer);
  }

  /** Whether far more is held than is needed. @param needed Bytes of what is not settled. */
  isWorthCompacting(needed: number): boolean {
    return this.held > this.compactAt && this.held > WORTH_COMPACTING * needed;
  }

  /**
   * Copies what is not settled out of memory that is mostly needed for nothing else. Looks at every event of the log, from `first`
   * to before `end`.
   */
  compact(columns: EventColumns, first: number, end: number): void {
    const { mask, blocks, pending, starts, bodies, ends } = columns;
    const needed = new Map<Block, number>();
    for (let position = first; position < end; position++) {
      const index = position & mask;
      if (pending[index] === 0) continue;
      const block = this.at(blocks[index]!);
      needed.set(block, (needed.get(block) ?? 0) + ends[index]! - starts[index]!);
    }
    const copies = new Map<Block, { readonly buffer: Buffer; used: number }>();
    for (const [block, bytes] of needed) {
      if (bytes <= block.buffer.length / 4) copies.set(block, { buffer: Buffer.allocUnsafeSlow(bytes), used: 0 });
    }
    for (let position = first; position < end; position++) {
      const index = position & mask;
      if (pending[index] === 0) continue;
      const block = this.at(blocks[index]!);
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

  /** There may be twice as many as before. */
  grow(): void {
    const { blocks } = this;
    this.mask = this.mask * 2 + 1;
    this.blocks = new Array<Block | undefined>(this.mask + 1).fill(undefined);
    for (const block of blocks) if (block !== undefined) this.blocks[block.number & this.mask] = block;
  }
}
