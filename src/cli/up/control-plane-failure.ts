import type { Driver } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { parseRecord } from "../display/log-printer.ts";
import { lastLines } from "./outcome.ts";

/** Instance that the control plane's log lines are of. */
const CONTROL_PLANE = "control-plane";

/** What it logs once it works. */
const SERVES = "control plane ready";

/** Lines in which its last error is looked for: an engine starts it again at once. */
const LOOKED_AT = 20;

/**
 * What a control plane that does not stay up says of why, as the error that it ended with; undefined when it runs, or has
 * not said anything of the kind.
 */
export async function failureOfControlPlane(
  driver: Pick<Driver, "logs" | "observe">,
  pipeline: string,
  signal: AbortSignal,
): Promise<FlowctlError | undefined> {
  const observed = (await driver.observe(pipeline, signal)).find(({ kind }) => kind === "control-plane");
  const { state } = observed ?? {};
  if (state === undefined || (state.status === "running" && state.health !== "starting")) return undefined;
  const lines = await lastLines(driver, pipeline, CONTROL_PLANE, LOOKED_AT, signal);
  for (const { text } of [...lines].reverse()) {
    const record = parseRecord(text);
    // What it said before it last worked is not why it does not now.
    if (record?.message === SERVES) return undefined;
    const { code, fix } = record?.fields ?? {};
    if (record?.level !== "error" || typeof code !== "string") continue;
    const how = typeof fix === "string" ? { fix } : {};
    return new FlowctlError({ code, kind: "failed", message: record.message, ...how });
  }
  return undefined;
}
