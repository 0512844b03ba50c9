import { malformed, WireReader } from "../../../protocol/wire.ts";

/** Neighbouring events of a segment log in one piece of memory. */
export interface Run {
  /** Position of the first; positions count from 0 over the whole life of a log. */
  readonly first: number;
  readonly count: number;
  /** Where they lie, side by side, each with tag and length as in an EventBatch. */
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Bytes of content of the record that they are from. */
  readonly recordBytes: number;
}

/** What is left of a run without its first `count` events; there have to be more. Throws `protocol/malformed`. */
export function withoutFirst(run: Run, count: number): Run {
  if (count === 0) return run;
  const reader = new WireReader(run.buffer, run.start, run.end);
  for (let passed = 0; passed < count; passed++) {
    if (reader.done) throw malformed(`a run of ${run.count} events ends after ${passed}`);
    reader.skip(reader.tag());
  }
  return { ...run, first: run.first + count, count: run.count - count, start: reader.position };
}
