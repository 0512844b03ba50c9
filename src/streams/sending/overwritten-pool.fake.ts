import { SlabPool } from "../../protocol/slab-pool.ts";
import type { SegmentLog } from "./segments/segment-log.ts";

/** Memory that is overwritten, where the tests look, before it is used again, so that whoever looks too late finds out. */
export class OverwrittenPool extends SlabPool {
  /** All memory that it ever gave. */
  readonly given = new Set<Buffer>();

  override take(bytes: number): Buffer {
    const buffer = super.take(bytes).fill(0xff, 0, 16 * 1024);
    this.given.add(buffer);
    return buffer;
  }

  /** Appends a run of events that lies in this memory. */
  append(log: SegmentLog, events: Buffer, count: number): void {
    const start = 3;
    const buffer = this.take(start + events.length);
    events.copy(buffer, start);
    log.appendRun(buffer, start, start + events.length, count);
    this.written(buffer);
  }
}
