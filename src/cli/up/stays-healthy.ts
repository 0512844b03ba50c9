import type { Clock } from "../../foundation/clock.ts";
import type { InstanceRecord } from "../../protocol/records.ts";

/** How long a program has to be seen healthy that was just started, in milliseconds. */
const STAYS = 1_000;

/** The same of one that was started again meanwhile. */
const STAYS_AFTER_RESTART = 10_000;

/**
 * Tells instances that are well from those that look so for a moment: one that registers, and ends as it cannot open what it
 * needs, is healthy in between.
 */
export class StaysHealthy {
  readonly #clock: Pick<Clock, "elapsed">;
  /** Since when each is seen healthy, in milliseconds of the clock. */
  readonly #since = new Map<string, { readonly registeredAt: number; readonly at: number }>();

  constructor(clock: Pick<Clock, "elapsed">) {
    this.#clock = clock;
  }

  /** Whether all of these have been healthy for long enough. Call it with every look. */
  look(instances: readonly InstanceRecord[]): boolean {
    const now = this.#clock.elapsed();
    const enough = instances.map(({ id, registeredAt, restarts, state }) => {
      if (state === "completed") return true;
      const seen = this.#since.get(id);
      const isNew = seen === undefined || seen.registeredAt !== registeredAt;
      if (state !== "healthy") this.#since.delete(id);
      else if (isNew) this.#since.set(id, { registeredAt, at: now });
      if (isNew || state !== "healthy") return false;
      return now - seen.at >= (restarts > 0 ? STAYS_AFTER_RESTART : STAYS);
    });
    return enough.every(Boolean);
  }
}
