import type { Clock } from "../../foundation/clock.ts";
import { messageOf } from "../../foundation/errors.ts";
import type { Logger } from "../../foundation/logger.ts";

/** A driver that is lost again so soon, in milliseconds, has only seemed to be back. */
const SAY_AGAIN_MS = 60_000;

/** Says once that the driver is lost, and once that it is back, however often it is tried meanwhile. */
export class LossNotice {
  readonly #clock: Clock;
  readonly #log: Logger;
  #isSaid = false;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#clock = clock;
    this.#log = log;
  }

  lost(error: unknown): void {
    const now = this.#clock.elapsed();
    if (this.#isSaid || now - this.#saidAt < SAY_AGAIN_MS) return;
    this.#isSaid = true;
    this.#saidAt = now;
    this.#log.warn("lost the event stream of the driver", { driver_error: messageOf(error) });
  }

  back(): void {
    if (this.#isSaid) this.#log.info("the driver answers again");
    this.#isSaid = false;
  }
}
