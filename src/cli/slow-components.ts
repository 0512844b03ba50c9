import type { PipelineRecord } from "../protocol/records.ts";

/** Share of time an upstream could not send, from which on what holds it up counts as slow. */
const HELD_UP = 0.1;

/** A component that holds others up. */
export interface SlowComponent {
  readonly id: string;
  /** The upstream component that waits for it most, and the share of time that it could not send, 0 to 1. */
  readonly holdsUp: string;
  readonly share: number;
  /** Events that wait for it there. */
  readonly waiting: number;
}

/**
 * The components that others wait for, the slowest first. A component that is held up itself is not the cause: only
 * those are named that are not waiting for anybody below them.
 */
export function slowComponents(record: PipelineRecord): readonly SlowComponent[] {
  const heldUp = new Map<string, number>();
  const found = new Map<string, SlowComponent>();
  for (const { id, instances } of record.components) {
    for (const { metrics } of instances) {
      if (metrics.backpressure < HELD_UP) continue;
      heldUp.set(id, Math.max(heldUp.get(id) ?? 0, metrics.backpressure));
      const [slowest] = Object.entries(metrics.waiting).sort(([, a], [, b]) => b - a);
      if (slowest === undefined || slowest[1] === 0) continue;
      const [below, waiting] = slowest;
      const known = found.get(below);
      if (known !== undefined && known.share >= metrics.backpressure) continue;
      found.set(below, { id: below, holdsUp: id, share: metrics.backpressure, waiting });
    }
  }
  return [...found.values()].filter(({ id }) => !heldUp.has(id)).sort((a, b) => b.share - a.share);
}
