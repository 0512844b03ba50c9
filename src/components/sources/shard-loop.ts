import type { Clock } from "../../foundation/clock.ts";
import { Pace } from "./generator-pace.ts";
import { endsRun, nextOfShard, shardCount } from "./generator-shards.ts";

/** A shard that is made here. */
export interface Shard {
  readonly number: number;
  /** Numbers up to this one are done with. */
  readonly after: number;
  /** Makes the event of a number and hands it on. */
  readonly emit: (sequence: number) => Promise<void>;
  readonly signal: AbortSignal;
}

interface Running extends Shard {
  next: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes the numbers of all shards of one instance in one row, in ascending order and at their share of the rate: so one
 * instance alone makes 1, 2, 3 …
 */
export class ShardLoop {
  readonly #clock: Clock;
  readonly #last: number;
  readonly #perMs: number;
  #pace: Pace;
  #shards: Running[] = [];
  /** Shards that are this instance's, those included that have no more numbers: they are its share of the rate. */
  #held = 0;
  #changed = new AbortController();
  #isRunning = false;

  /** `perMs`: events per millisecond over all shards; `last`: the last number. */
  constructor(perMs: number, last: number, clock: Clock) {
    this.#clock = clock;
    this.#last = last;
    this.#perMs = perMs;
    this.#pace = new Pace(perMs, clock);
  }

  /** Resolves when the shard has no more numbers, or its signal has fired. Rejects with what `emit` rejected with. */
  run(shard: Shard): Promise<void> {
    if (shard.signal.aborted) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const running = { ...shard, next: nextOfShard(shard.number, shard.after), resolve, reject };
      this.#held += 1;
      shard.signal.addEventListener("abort", () => this.#giveUp(running), { once: true });
      if (running.next > this.#last) resolve();
      else this.#shards.push(running);
      this.#change();
      if (!this.#isRunning && this.#shards.length > 0) void this.#loop();
    });
  }

  async #loop(): Promise<void> {
    this.#isRunning = true;
    // Shards that are given together begin together.
    await Promise.resolve();
    this.#pace = new Pace(this.#share, this.#clock);
    for (let shard = this.#lowest(); shard !== undefined; ) {
      if (!this.#pace.due()) {
        await this.#pace.wait(this.#changed.signal);
        shard = this.#lowest();
        continue;
      }
      const changed = this.#changed;
      try {
        await shard.emit(shard.next);
      } catch (error) {
        shard.reject(error);
        this.#remove(shard);
      }
      const isEnd = endsRun(shard.next);
      shard.next = isEnd ? nextOfShard(shard.number, shard.next) : shard.next + 1;
      if (shard.next > this.#last) {
        shard.resolve();
        this.#remove(shard);
      }
      if (isEnd || changed !== this.#changed) shard = this.#lowest();
    }
    this.#isRunning = false;
  }

  get #share(): number {
    return (this.#perMs * this.#held) / shardCount;
  }

  #lowest(): Running | undefined {
    let lowest: Running | undefined;
    for (const shard of this.#shards) if (lowest === undefined || shard.next < lowest.next) lowest = shard;
    return lowest;
  }

  #giveUp(shard: Running): void {
    this.#held -= 1;
    shard.resolve();
    this.#remove(shard);
  }

  #remove(shard: Running): void {
    this.#shards = this.#shards.filter((other) => other !== shard);
    this.#change();
  }

  #change(): void {
    if (this.#held > 0) this.#pace.change(this.#share);
    this.#changed.abort();
    this.#changed = new AbortController();
  }
}
