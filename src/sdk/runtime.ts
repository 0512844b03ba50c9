import type { Registered, RegistryClient } from "../client/client.ts";
import type { Clock } from "../foundation/clock.ts";
import { withDeadline } from "../foundation/deadline.ts";
import type { Logger } from "../foundation/logger.ts";
import type { OnErrorSpec } from "../protocol/records.ts";
import type { Inlet } from "../streams/receiving/inlet.ts";
import type { Outlet } from "../streams/sending/outlet.ts";
import type { ComponentContext } from "./component.ts";
import type { Counters } from "./counters.ts";
import type { OutputEncoder } from "./output.ts";

/** What the runner of each type of component works with. Made by `run`, once per program. */
export interface Runtime {
  readonly clock: Clock;
  readonly log: Logger;
  readonly context: ComponentContext<unknown>;
  readonly registry: RegistryClient;
  /** What the control plane said at registration. */
  readonly registered: Registered;
  readonly publisher: Outlet;
  /** Undefined for a source. */
  readonly inlet: Inlet | undefined;
  readonly encoder: OutputEncoder;
  readonly counters: Counters;
  readonly onError: () => OnErrorSpec;
  /** Fires when the component takes nothing new: it is halted, or it leaves the pipeline (see `Topology.leaving`). */
  readonly stopping: AbortSignal;
  /** Fires when the component has to end soon: SIGTERM, or a failure elsewhere in it. `stopping` has fired then. */
  readonly halted: AbortSignal;
  /** Fires when there is no more time: the grace period after `halted` is nearly over. */
  readonly deadline: AbortSignal;
  /** Ends the component with this error. */
  fail(error: unknown): void;
  /** The component takes part in the pipeline from now on. */
  started(): void;
}

/** How a runner ended: the data has ended and everything is acknowledged, or it was told to stop. */
export type Outcome = "completed" | "stopped";

/** A signal's state as a plain field, for loops that look at it for each event: the signal's own is ten times slower. */
export interface Flag {
  readonly raised: boolean;
}

export function flagOf(signal: AbortSignal): Flag {
  const flag = { raised: signal.aborted };
  signal.addEventListener("abort", () => {
    flag.raised = true;
  });
  return flag;
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/**
 * The end of every runner: waits for the last acknowledgements, lets `settle` store or pass on what they mean, and, when
 * the data has `ended`, tells the groups so and waits for what is in buffers on disk. `settle` resolves with false when
 * that could not be done.
 *
 * Groups are told the end no sooner, because whoever is told may end as well: nothing may be sent again after that, neither
 * by this program nor by a successor that goes on from the stored position.
 */
export async function finish(
  runtime: FinishingRuntime,
  ended: boolean,
  settle: () => Promise<unknown>,
): Promise<Outcome> {
  const { publisher } = runtime;
  const acknowledged = await inTime(publisher.acknowledged(), runtime);
  const settled = (await settle()) !== false;
  if (ended && acknowledged && settled) {
    publisher.end();
    if (await inTime(publisher.drained(), runtime)) return "completed";
  }
  // What is in a buffer on disk waits for the next run; what was sent of it must not come again then.
  await inTime(publisher.rested(), { ...runtime, deadline: withDeadline(runtime.deadline, REST_MS) });
  return "stopped";
}

/** So long a component that stops waits at most for what was sent out of its buffers on disk, in milliseconds. */
const REST_MS = 2_000;

type FinishingRuntime = Pick<Runtime, "publisher" | "halted" | "deadline" | "clock">;

/**
 * Whether the groups have done it in time. Gives up at the deadline, and, when halted, once nobody is connected any more
 * who could acknowledge: what is left is sent again after the restart.
 */
async function inTime(work: Promise<void>, { publisher, halted, deadline, clock }: FinishingRuntime): Promise<boolean> {
  let done = false;
  const working = work.then(() => {
    done = true;
  });
  const untilNoDownstreamConnected = async (): Promise<void> => {
    await aborted(halted);
    for (let quiet = 0; !done && quiet < 5; ) {
      await clock.sleep(100, deadline).catch(() => undefined);
      quiet = publisher.connected === 0 ? quiet + 1 : 0;
      if (deadline.aborted) return;
    }
  };
  await Promise.race([working, aborted(deadline), untilNoDownstreamConnected()]);
  return done;
}
