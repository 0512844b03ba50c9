import { expect } from "vitest";
import type { SlabPool } from "../../../protocol/slab-pool.ts";
import type { SegmentLog } from "./segment-log.ts";

/** So many events from number `first` on, each as in an EventBatch; an event's content is its number and some padding. */
export function encode(first: number, count: number, padding = 20): Buffer {
  const events = Array.from({ length: count }, (_, index) => {
    const content = Buffer.from(`${first + index}:`.padEnd(padding, "."));
    return Buffer.concat([Buffer.from([0x12, content.length]), content]);
  });
  return Buffer.concat(events);
}

function decode(bytes: Buffer): number[] {
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; at += 2 + bytes[at + 1]!)
    numbers.push(Number.parseInt(bytes.toString("latin1", at + 2, at + 20), 10));
  return numbers;
}

export function append(log: SegmentLog, first: number, count: number, padding?: number): void {
  const bytes = encode(first, count, padding);
  log.appendRun(bytes, 0, bytes.length, count);
}

/** Reads up to `most` events; whole runs. */
export async function take(log: SegmentLog, most = Number.POSITIVE_INFINITY, memory?: SlabPool): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < most) {
    await log.load();
    const run = log.takeRun();
    if (run === undefined) break;
    const taken = decode(run.buffer.subarray(run.start, run.end));
    expect(taken.length).toBe(run.count);
    numbers.push(...taken);
    memory?.release(run.buffer);
  }
  return numbers;
}

export function range(first: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
}
