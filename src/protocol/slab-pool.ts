/** Who has something in shared memory says so, and says when that is over. */
export interface SharedMemory {
  /** Something of `buffer` is needed until the same is released. */
  retain(buffer: Buffer): void;
  release(buffer: Buffer): void;
}

/** Memory that is used again: whoever writes to it takes it, and says when that is over. */
export interface MemoryPool extends SharedMemory {
  /** Memory to write to, at least `bytes`; what is in it is anything. Belongs to the caller until `written`. */
  take(bytes: number): Buffer;
  /** Nothing more is written to this memory. */
  written(buffer: Buffer): void;
}

/** Size of the smallest slabs. */
export const SLAB_BYTES = 128 * 1024;
/** Of the largest that are used again, each of twice the size of the one before: a batch, with its head. */
const LARGEST_BYTES = 2 * 1024 * 1024;
/** As much as may wait for acknowledgements, is being written, and was read ahead. */
const MAX_FREE_BYTES = 24 * 1024 * 1024;

interface Slab {
  /** How often it was retained and not released. */
  uses: number;
  /** Whether somebody still writes to it. */
  writing: boolean;
}

/**
 * The memory that a component encodes its events into and keeps batches in, used again as soon as nobody needs what is in it: fresh slabs, two
 * for every thousand events, would outlive the young generation, and the garbage collector would have to mark the whole
 * heap again and again to be rid of them.
 *
 * Nothing of a slab may be looked at by somebody who has not retained it. A slab that is retained and never released is
 * collected as any other memory when nobody knows it any more.
 */
export class SlabPool implements MemoryPool {
  private readonly slabs = new WeakMap<Buffer, Slab>();
  /** By size. */
  private readonly free = new Map<number, Buffer[]>();
  private freeBytes = 0;

  take(bytes: number): Buffer {
    let size = SLAB_BYTES;
    while (size < bytes) size *= 2;
    const buffer = this.free.get(size)?.pop();
    if (buffer !== undefined) this.freeBytes -= size;
    // What is larger is not used again, and no larger than it has to be.
    const slab = buffer ?? Buffer.allocUnsafeSlow(size > LARGEST_BYTES ? bytes : size);
    this.slabs.set(slab, { uses: 0, writing: true });
    return slab;
  }

  written(buffer: Buffer): void {
    const slab = this.slabs.get(buffer);
    if (slab === undefined) return;
    slab.writing = false;
    this.reuse(buffer, slab);
  }

  retain(buffer: Buffer): void {
    const slab = this.slabs.get(buffer);
    if (slab !== undefined) slab.uses++;
  }

  release(buffer: Buffer): void {
    const slab = this.slabs.get(buffer);
    if (slab === undefined) return;
    slab.uses--;
    this.reuse(buffer, slab);
  }

  private reuse(buffer: Buffer, slab: Slab): void {
    if (slab.uses > 0 || slab.writing) return;
    this.slabs.delete(buffer);
    const { length } = buffer;
    if (length > LARGEST_BYTES || this.freeBytes + length > MAX_FREE_BYTES) return;
    const free = this.free.get(length);
    if (free === undefined) this.free.set(length, [buffer]);
    else free.push(buffer);
    this.freeBytes += length;
  }
}
