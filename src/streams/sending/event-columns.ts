/**
 * A table of the events of a log, by position: one typed array for each column, used as a ring, so that the thousands of events
 * under way are no objects that the garbage collector has to follow. The log says which positions are in use; a row is read and
 * written at `position & mask`.
 */
export class EventColumns {
  /** Capacity - 1; the capacity is a power of two. */
  mask: number;
  /** Number of the block of memory in which the event lies. */
  blocks: Uint32Array;
  /** Where it lies in that memory: with tag and length, without them, and its end. */
  starts: Uint32Array;
  bodies: Uint32Array;
  ends: Uint32Array;
  /** What its receipt is settled with. */
  tags: Float64Array;
  /** How many groups have yet to acknowledge it; 0: it is settled. */
  pending: Uint32Array;
  /** 1 for a dead letter. */
  dead: Uint8Array;

  /** @param capacity A power of two. */
  constructor(capacity: number) {
    this.mask = capacity - 1;
    this.blocks = new Uint32Array(capacity);
    this.starts = new Uint32Array(capacity);
    this.bodies = new Uint32Array(capacity);
    this.ends = new Uint32Array(capacity);
    this.tags = new Float64Array(capacity);
    this.pending = new Uint32Array(capacity);
    this.dead = new Uint8Array(capacity);
  }

  /** Doubles the capacity; the rows from `first` to before `end` stay. */
  grow(first: number, end: number): void {
    const { mask, blocks, starts, bodies, ends, tags, pending, dead } = this;
    const larger = new EventColumns((mask + 1) * 2);
    for (let position = first; position < end; position++) {
      const from = position & mask;
      const to = position & larger.mask;
      larger.blocks[to] = blocks[from]!;
      larger.starts[to] = starts[from]!;
      larger.bodies[to] = bodies[from]!;
      larger.ends[to] = ends[from]!;
      larger.tags[to] = tags[from]!;
      larger.pending[to] = pending[from]!;
      larger.dead[to] = dead[from]!;
    }
    Object.assign(this, larger);
  }
}
