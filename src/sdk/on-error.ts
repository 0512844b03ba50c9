import { backoffDelay } from "../foundation/backoff.ts";
import type { Clock } from "../foundation/clock.ts";
import { FlowctlError, messageOf } from "../foundation/errors.ts";
import type { Logger } from "../foundation/logger.ts";
import { isOutage } from "../foundation/outage.ts";
import type { OnErrorSpec } from "../protocol/records.ts";
import { publishFrom, type ReceivedEvent } from "../streams/receiving/received-event.ts";
import type { Outlet } from "../streams/sending/outlet.ts";
import type { Counters } from "./counters.ts";
import type { OutputEncoder } from "./output.ts";
import { isStopped, stoppedError } from "./stopped.ts";

export interface OnErrorOptions {
  /** The policy in force; asked at each failure, since the topology may change it. */
  readonly policy: () => OnErrorSpec;
  readonly publisher: Outlet;
  readonly encoder: OutputEncoder;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Decides about single events that cannot be processed, as the pipeline file's `on_error` says. */
export class OnError {
  private readonly options: OnErrorOptions;
  /** What told of an outage, for each event under way that has met one. */
  private readonly outages = new Map<ReceivedEvent, unknown>();

  constructor(options: OnErrorOptions) {
    this.options = options;
  }

  /**
   * `error` came of the first attempt at `event`. Tries again as often as the policy says, and then drops the event or
   * hands it to the dead-letter sink: resolves when the event is dealt with, the caller then settles it; with whether an
   * attempt succeeded in the end. Rejects, with the last error as cause, when the policy is to fail; and with what told of an
   * outage itself, whatever the policy, when an attempt at this event, or at another one under way, met one: no event is to
   * blame for that, and the next would be refused too. Rejects with `sdk/stopped` when the component is told to stop before
   * anything is decided, or when an attempt was given up for that: the event comes again.
   */
  async handle(event: ReceivedEvent, error: unknown, attempt: () => Promise<void>): Promise<boolean> {
    const { policy, counters, clock, signal } = this.options;
    const { action, retries, backoffMs } = policy();
    let last = error;
    this.met(event, error);
    for (let retry = 1; retry <= retries; retry++) {
      const pause = backoffDelay(retry, { initialMs: backoffMs > 0 ? backoffMs : 100, maxMs: 30_000 });
      await clock.sleep(pause, signal).catch(() => {
        throw stoppedError("the component is stopping before the retry");
      });
      counters.retries++;
      try {
        await attempt();
        this.outages.delete(event);
        return true;
      } catch (again) {
        last = again;
        this.met(event, again);
      }
    }
    // A connection that broke may say anything afterwards, to any event: only who names the content is believed.
    if (last instanceof FlowctlError && last.kind === "invalid") this.outages.delete(event);
    else {
      const [outage] = this.outages.values();
      if (outage !== undefined) throw outage;
    }
    counters.failed++;
    if (action === "drop") this.drop(event, last);
    else if (action === "dead_letter") await this.deadLetter(event, last, retries + 1);
    else throw failure(event, last, retries + 1);
    return false;
  }

  /** An attempt at the event came to this. Throws when it is only that the component stops. */
  private met(event: ReceivedEvent, error: unknown): void {
    if (isStopped(error, this.options.signal))
      throw stoppedError("an attempt was aborted because the component is stopping");
    if (isOutage(error)) this.outages.set(event, error);
  }

  private drop(event: ReceivedEvent, error: unknown): void {
    this.options.counters.dropped++;
    this.options.log.warn("dropped a failed event", {
      event: idOf(event),
      reason: messageOf(error),
    });
  }

  private async deadLetter(event: ReceivedEvent, error: unknown, attempts: number): Promise<void> {
    const { publisher, encoder, counters, log, clock } = this.options;
    const letter = encoder.deadLetter(event, messageOf(error), attempts, new Date(clock.now()));
    publishFrom(event, letter, publisher, true);
    counters.deadLetters++;
    log.warn("sent an event to the dead-letter sink", { event: idOf(event), reason: messageOf(error) });
    await publisher.room();
  }
}

function failure(event: ReceivedEvent, error: unknown, attempts: number): FlowctlError {
  const times = attempts === 1 ? "" : ` after ${attempts} attempts`;
  return new FlowctlError({
    code: "sdk/event-failed",
    kind: "failed",
    message: `event ${JSON.stringify(idOf(event))} could not be processed${times}: ${messageOf(error)}`,
    fix: "fix the component or the event, or set on_error to retry, drop or dead_letter",
    cause: error,
  });
}

/** The id for messages; a damaged event has none that can be read. */
function idOf(event: ReceivedEvent): string {
  try {
    return event.id;
  } catch {
    return "(damaged)";
  }
}
