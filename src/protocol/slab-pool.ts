/** Who has something in shared memory says so, and says when that is over. */
export interface SharedMemory {
  /** Something of `buffer` is needed until the same is released. */
  retain(buffer: Buffer): void;
  release(buffer: Buffer): void;
}

export const SLAB_BYTES = 128 * 1024;
/** As much as may wait for acknowledgements, and what is being written. */
const MAX_FREE = 64;

interface Slab {
  /** How often it was retained and not released. */
  uses: number;
  /** Whether somebody still writes to it. */
  writing: boolean;
}

/**
 * The memory that a component encodes its events into, used again as soon as nobody needs what is in it: fresh slabs, two
 * for every thousand events, would outlive the young generation, and the garbage collector would have to mark the whole
 * heap again and again to be rid of them.
 *
 * Nothing of a slab may be looked at by somebody who has not retained it. A slab that is retained and never released is
 * collected as any other memory when nobody knows it any more.
 */
export class SlabPool implements SharedMemory {
  private readonly slabs = new WeakMap<Buffer, Slab>();
  private readonly free: Buffer[] = [];

  /** Memory to write events to, at least `bytes`; what is in it is anything. Belongs to the caller until `written`. */
  take(bytes: number): Buffer {
    const reused = bytes <= SLAB_BYTES ? this.free.pop() : undefined;
    const buffer = reused ?? Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.slabs.set(buffer, { uses: 0, writing: true });
    return buffer;
  }

  /** Nothing more is written to this memory. */
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
    if (buffer.length === SLAB_BYTES && this.free.length < MAX_FREE) this.free.push(buffer);
  }
}
