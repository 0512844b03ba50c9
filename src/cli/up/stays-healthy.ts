import type { Clock } from "../../foundation/clock.ts";
import type { InstanceRecord } from "../../protocol/records.ts";

/** How long a program has to be seen healthy that was just started, in milliseconds. */
const STAYS = 1_000;

/** The same of one that was started again meanwhile, which nobody asked for. */
export const STAYS_AFTER_RESTART = 10_000;

/**
 * Tells instances that are well from those that look so for a moment: one that registers, and ends as it cannot open what it
 * needs, is healthy in between.
 */
export class StaysHealthy {
  readonly #clock: Pick<Clock, "elapsed">;
  readonly #asked: ReadonlyMap<string, number>;
  /** Since when each is seen healthy, in milliseconds of the clock. */
  readonly #since = new Map<string, { readonly registeredAt: number; readonly at: number }>();

  /** @param asked how often each had been restarted once it was started as asked; left out for one that is new: never. */
  constructor(clock: Pick<Clock, "elapsed">, asked: ReadonlyMap<string, number> = new Map()) {
    this.#clock = clock;
    this.#asked = asked;
  }

  /** Whether one of these was started again though nobody asked for it. */
  hasRestarted(instances: readonly InstanceRecord[]): boolean {
    return instances.some(({ id, restarts }) => restarts > (this.#asked.get(id) ?? 0));
  }

  /** Whether all of these have been healthy for long enough. Call it with every look. */
  look(instances: readonly InstanceRecord[]): boolean {
    const now = this.#clock.elapsed();
    const enough = instances.map((instance) => {
      const { id, registeredAt, state } = instance;
      if (state === "completed") return true;
      const seen = this.#since.get(id);
      const isNew = seen === undefined || seen.registeredAt !== registeredAt;
      if (state !== "healthy") this.#since.delete(id);
      else if (isNew) this.#since.set(id, { registeredAt, at: now });
      if (isNew || state !== "healthy") return false;
      return now - seen.at >= (this.hasRestarted([instance]) ? STAYS_AFTER_RESTART : STAYS);
    });
    return enough.every(Boolean);
  }
}
