import { backoffDelay } from "../foundation/backoff.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { linkedSignal } from "../foundation/linked-signal.ts";
import type { Logger } from "../foundation/logger.ts";
import type { Receipt } from "../streams/receipt.ts";
import { Ring } from "../streams/ring.ts";
import { type KeptPosition, positionOf, storedText } from "./position.ts";

/** What is told of a partition: that it is read on, from where; or that it is given back, or has ended. */
export type CheckpointState = "reading" | "released" | "finished";

export interface CheckpointerOptions {
  /** Stores in the control plane; without a position the stored one stays. */
  readonly store: (state: CheckpointState, position: Uint8Array | undefined, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after a position is durable, never twice at once. A rejection is the component's failure. */
  readonly committed: ((position: unknown) => Promise<void>) | undefined;
  /** `committed` failed, or the control plane refused a position for good. Called once. */
  readonly onFailure: (error: unknown) => void;
}

/** At most this often a position is stored, in milliseconds; the first after a pause at once. */
const INTERVAL_MS = 100;
/** The same where few events would come again without it, and nobody outside waits to be told. */
const FEW_INTERVAL_MS = 1_000;
/** So many acknowledged events since a position was last stored are no longer few. */
const MANY = 1_000;
const CALL_TIMEOUT_MS = 5_000;

/** Kinds of refusal that no repetition makes good: a position too large, a partition that another instance reads by now. */
const PERMANENT: ReadonlySet<FlowctlError["kind"]> = new Set(["invalid", "usage", "conflict", "denied"]);

/**
 * Moves a partition's position over the contiguous prefix of what is acknowledged, and stores it in the control plane.
 * While the control plane is away the newest position waits; streaming goes on.
 */
export class Checkpointer implements Receipt {
  private readonly options: CheckpointerOptions;
  /** Of everything that is not acknowledged, or waits behind something that is not; the first has the tag `acknowledged`. */
  private readonly positions = new Ring<KeptPosition>(1024);
  private acknowledged = 0;
  /** Tags that are acknowledged out of order. */
  private readonly early = new Set<number>();
  private newest: { position: KeptPosition } | undefined;
  private saving: Promise<void> | undefined;
  /** When a position was last stored, on the clock of durations. */
  private storedAt = Number.NEGATIVE_INFINITY;
  /** How many events are acknowledged beyond the position that was last stored. */
  private beyond = 0;
  /** How many wait for the newest position to be stored, which then is not put off. */
  private hurried = 0;
  private pausing: AbortController | undefined;
  private failed = false;
  private readonly stop = new AbortController();
  private onIdle: (() => void)[] = [];

  constructor(options: CheckpointerOptions) {
    this.options = options;
  }

  /** Takes note of an event after which the source would go on at `position`. Returns the tag to settle it with. */
  track(position: KeptPosition): number {
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
    const before = this.beyond;
    this.beyond += this.acknowledged - first;
    if (before < MANY && this.beyond >= MANY) this.pausing?.abort();
    if (this.positions.length === 0 && this.onIdle.length > 0) for (const resolve of this.onIdle.splice(0)) resolve();
    this.saving ??= this.save();
  }

  /** Resolves as soon as everything that was tracked is acknowledged; at once when it is. */
  idle(): Promise<void> {
    if (this.positions.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.onIdle.push(resolve));
  }

  /** Resolves with true when the newest position is durable and committed, with false when that failed or the signal fired. */
  async flush(signal: AbortSignal): Promise<boolean> {
    this.hurried++;
    this.pausing?.abort();
    try {
      return await this.until(signal, async () => {
        while (this.saving !== undefined && !this.stop.signal.aborted) await this.saving;
      });
    } finally {
      this.hurried--;
    }
  }

  /**
   * Stores the newest position and then, for as long as it takes, that the partition is given back or has ended. To be called when
   * everything is acknowledged. Resolves like `flush`.
   */
  async end(state: "released" | "finished", signal: AbortSignal): Promise<boolean> {
    if (!(await this.flush(signal))) return false;
    return await this.until(signal, async () => {
      await this.store(state, undefined);
    });
  }

  private async until(signal: AbortSignal, work: () => Promise<void>): Promise<boolean> {
    const abort = (): void => this.stop.abort();
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      await work();
      return !this.failed && !this.stop.signal.aborted;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  private async save(): Promise<void> {
    const { clock, committed } = this.options;
    // The first turn of the event loop collects what is acknowledged together.
    await clock.sleep(0);
    while (this.newest !== undefined && !this.stop.signal.aborted && !this.failed) {
      await this.pause();
      const { position } = this.newest;
      this.newest = undefined;
      this.beyond = 0;
      const stored = await this.store("reading", Buffer.from(storedText(position)));
      if (!stored) break;
      this.storedAt = clock.elapsed();
      if (committed !== undefined) {
        try {
          await committed(positionOf(position));
        } catch (error) {
          this.fail(error);
          break;
        }
      }
    }
    this.saving = undefined;
  }

  /** Until the interval is over since a position was last stored, unless somebody waits for the next. */
  private async pause(): Promise<void> {
    const { clock, committed } = this.options;
    while (this.hurried === 0 && !this.stop.signal.aborted) {
      const interval = committed !== undefined || this.beyond >= MANY ? INTERVAL_MS : FEW_INTERVAL_MS;
      const left = this.storedAt + interval - clock.elapsed();
      if (left <= 0) return;
      this.pausing = new AbortController();
      const over = linkedSignal(this.stop.signal, this.pausing.signal);
      await clock.sleep(left, over.signal).catch(() => undefined);
      over.release();
      this.pausing = undefined;
    }
  }

  /** Tries until it is stored; false when it will not be. */
  private async store(state: CheckpointState, position: Uint8Array | undefined): Promise<boolean> {
    const { store, clock, log } = this.options;
    for (let attempt = 1; !this.stop.signal.aborted && !this.failed; attempt++) {
      try {
        await store(state, position, withDeadline(this.stop.signal, CALL_TIMEOUT_MS));
        return true;
      } catch (error) {
        if (error instanceof FlowctlError && PERMANENT.has(error.kind)) {
          this.fail(error);
          return false;
        }
        if (attempt === 1)
          log.warn("cannot store the position yet; events continue to flow", { reason: String(error) });
        await clock
          .sleep(backoffDelay(attempt, { initialMs: 50, maxMs: 1_000 }), this.stop.signal)
          .catch(() => undefined);
      }
    }
    return false;
  }

  private fail(error: unknown): void {
    if (this.failed) return;
    this.failed = true;
    this.options.onFailure(error);
  }
}

/** Reads a stored position. A position that is no JSON is the author's mistake of an earlier version: a clear error. */
export function parsePosition(bytes: Uint8Array): unknown {
  return JSON.parse(Buffer.from(bytes).toString("utf8"));
}
