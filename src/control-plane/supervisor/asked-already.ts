import type { ObservedResource, ResourceKey } from "../../drivers/driver.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Action } from "./policy.ts";

/**
 * What needs not be asked of a driver (again). One that broke off before it answered may have done what it was asked for: a start or a stop shows in
 * what there is, and a restart in that another run is there than the one that was to be ended.
 */
export class AskedAlready {
  /** Of restarts without an answer: when the run that was to be ended had been started, in Unix milliseconds. */
  readonly #runs = new Map<ResourceKey, number>();

  isDone(action: Action, { key, state }: ObservedResource): boolean {
    if (action === "start") return state.status === "running";
    if (action === "stop") return state.status === "exited" || state.status === "created";
    const run = this.#runs.get(key);
    return run !== undefined && state.status === "running" && state.startedAt !== run;
  }

  /** The driver was asked for it and has not answered. `observed`: what there was before. */
  unanswered(action: Action, { key, state }: ObservedResource): void {
    if (action === "restart" && state.status === "running") this.#runs.set(key, state.startedAt);
  }

  /** Whatever was asked for is over, and the next time it is about something else. */
  over(key: ResourceKey): void {
    this.#runs.delete(key);
  }
}

/** Why the driver has not done something. `away`: nobody could be asked, or answered, which says nothing of the instance. */
export interface NotDone {
  readonly message: string;
  readonly away: boolean;
}

/** The same of what the driver threw. */
export function notDone(error: unknown): NotDone {
  return { message: messageOf(error), away: error instanceof FlowctlError && error.kind === "unavailable" };
}
