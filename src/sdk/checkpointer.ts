import type { RegistryClient } from "../client/client.ts";
import { backoffDelay } from "../foundation/backoff.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import type { Logger } from "../foundation/logger.ts";
import type { Receipt } from "../streams/event-log.ts";
import { Ring } from "../streams/ring.ts";

export interface CheckpointerOptions<Position> {
  readonly registry: Pick<RegistryClient, "saveCheckpoint">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after a position is durable, never twice at once. A rejection is the component's failure. */
  readonly committed: ((position: Position) => Promise<void>) | undefined;
  /** `committed` failed. */
  readonly onFailure: (error: unknown) => void;
}

/** At most this often a position is stored, in milliseconds; the first after a pause at once. */
const INTERVAL_MS = 100;
const CALL_TIMEOUT_MS = 5_000;

/**
 * Moves a source's position over the contiguous prefix of what is acknowledged, and stores it in the control plane.
 * While the control plane is away the newest position waits; streaming goes on.
 */
export class Checkpointer<Position> implements Receipt {
  private readonly options: CheckpointerOptions<Position>;
  /** Of everything that is not acknowledged, or waits behind something that is not; the first has the tag `acknowledged`. */
  private readonly positions = new Ring<Position>(1024);
  private acknowledged = 0;
  /** Tags that are acknowledged out of order. */
  private readonly early = new Set<number>();
  private newest: { position: Position } | undefined;
  private saving: Promise<void> | undefined;
  private failed = false;
  private readonly stop = new AbortController();

  constructor(options: CheckpointerOptions<Position>) {
    this.options = options;
  }

  /** Takes note of an event after which the source would go on at `position`. Returns the tag to settle it with. */
  track(position: Position): number {
    this.positions.push(position);
    return this.acknowledged + this.positions.length - 1;
  }

  /** The event with this tag is acknowledged by everything below. */
  settle(tag: number): void {
    this.settleRun(tag, 1);
  }

  settleRun(first: number, count: number): void {
    if (first !== this.acknowledged) {
      for (let tag = first; tag < first + count; tag++) this.early.add(tag);
      return;
    }
    let reached = this.positions.drop(count);
    this.acknowledged += count;
    while (this.early.size > 0 && this.early.delete(this.acknowledged)) {
      reached = this.positions.shift();
      this.acknowledged++;
    }
    if (this.newest === undefined) this.newest = { position: reached };
    else this.newest.position = reached;
    this.saving ??= this.save();
  }

  /** Resolves with true when the newest position is durable and committed, with false when that failed or the signal fired. */
  async flush(signal: AbortSignal): Promise<boolean> {
    const abort = (): void => this.stop.abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      while (this.saving !== undefined && !this.stop.signal.aborted) await this.saving;
      return !this.failed && !this.stop.signal.aborted;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  private async save(): Promise<void> {
    const { clock, committed, onFailure } = this.options;
    // The first turn of the event loop collects what is acknowledged together.
    await clock.sleep(0);
    while (this.newest !== undefined && !this.stop.signal.aborted) {
      const { position } = this.newest;
      this.newest = undefined;
      const stored = await this.store(position);
      if (!stored) break;
      if (committed !== undefined) {
        try {
          await committed(position);
        } catch (error) {
          this.failed = true;
          onFailure(error);
          break;
        }
      }
      if (this.newest !== undefined) await clock.sleep(INTERVAL_MS, this.stop.signal).catch(() => undefined);
    }
    this.saving = undefined;
  }

  private async store(position: Position): Promise<boolean> {
    const { registry, clock, log } = this.options;
    const bytes = Buffer.from(JSON.stringify(position));
    for (let attempt = 1; !this.stop.signal.aborted; attempt++) {
      try {
        await registry.saveCheckpoint(bytes, withDeadline(this.stop.signal, CALL_TIMEOUT_MS));
        return true;
      } catch (error) {
        if (attempt === 1) log.warn("cannot store the position yet; events keep flowing", { reason: String(error) });
        await clock
          .sleep(backoffDelay(attempt, { initialMs: 50, maxMs: 1_000 }), this.stop.signal)
          .catch(() => undefined);
      }
    }
    return false;
  }
}

/** Reads a stored position. A position that is no JSON is the author's mistake of an earlier version: a clear error. */
export function parsePosition(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString("utf8"));
}
