import type { ObservedResource } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import { type ControlPlaneAccess, isAway } from "../control-plane-access.ts";

/** So long a control plane that runs may be silent, in milliseconds: as long as an instance before it counts as hung. */
const PATIENCE_MS = 30_000;

/** The same of one that does not run: where something brings it back, it is there within seconds. */
const PATIENCE_WHILE_ENDED_MS = 5_000;

/** How long one call may take: what is slow must not be taken for silent. */
const CALL_MS = 10_000;

/**
 * What the control plane that there is has been told before; undefined where there is none, where it was told nothing, or where it
 * does not answer in time. One that was killed a moment ago comes back by itself and is waited for: nobody but it knows what
 * the instances that a change takes away still hold.
 */
export async function recordBefore(
  access: Pick<ControlPlaneAccess, "call">,
  observed: readonly ObservedResource[],
  clock: Pick<Clock, "elapsed" | "sleep">,
  signal: AbortSignal,
): Promise<PipelineRecord | undefined> {
  const status = observed.find(({ kind }) => kind === "control-plane")?.state.status;
  if (status === undefined) return undefined;
  const runs = status === "running" || status === "restarting";
  const end = clock.elapsed() + (runs ? PATIENCE_MS : PATIENCE_WHILE_ENDED_MS);
  for (;;) {
    try {
      return await access.call(signal, (client, inner) => client.getPipeline(inner), CALL_MS);
    } catch (error) {
      if (error instanceof FlowctlError && error.kind === "not-found") return undefined;
      if (!isAway(error)) throw error;
      if (clock.elapsed() >= end) return undefined;
    }
    await clock.sleep(200, signal);
  }
}
