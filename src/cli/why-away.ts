import type { Driver, ObservedResource } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { isAway, NO_CONTROL_PLANE } from "./control-plane-access.ts";
import { fullDiskOf } from "./doctor/disk-space.ts";
import { folderOf, isUp } from "./project.ts";
import { failureOfControlPlane } from "./up/control-plane-failure.ts";

/**
 * The error of a control plane that does not answer, with why it does not as far as that can be told: that the pipeline is not running
 * (`cli/not-running`), what it ended with, and that the disk with its store is full. Returns any other error as it is.
 */
export async function whyAway(
  error: unknown,
  driver: Pick<Driver, "name" | "here" | "logs" | "observe">,
  pipeline: string,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof FlowctlError) || !isAway(error)) return error;
  if (error.code === NO_CONTROL_PLANE) {
    const observed = await driver.observe(pipeline, signal);
    if (!isUp(observed)) return notRunning(pipeline, observed, error);
  }
  const said = await failureOfControlPlane(driver, pipeline, signal);
  // What it ended with tells more, unless it is that.
  const disk = said === undefined || said.code === "store/full" ? await fullDiskOf(driver, signal) : undefined;
  if (said === undefined && disk === undefined) return error;
  const reasons = [said?.message, disk?.detail].filter((reason) => reason !== undefined);
  const fixes = [disk?.fix ?? said?.fix, `then run \`flowctl up -d -p ${pipeline}\``].filter(
    (fix) => fix !== undefined,
  );
  return new FlowctlError({
    code: said?.code ?? error.code,
    kind: "unavailable",
    message: `${error.message}: ${reasons.join("; ")}`,
    fix: fixes.map((fix) => fix.replace(/\.$/, "")).join("; "),
    cause: error,
  });
}

/** After `flowctl down`: nothing is there that could answer, but perhaps what it stored. */
function notRunning(pipeline: string, kept: readonly ObservedResource[], cause: unknown): FlowctlError {
  const folder = folderOf(kept);
  const where = folder === undefined ? "" : ` in ${folder}`;
  return new FlowctlError({
    code: "cli/not-running",
    kind: "not-found",
    message: `Pipeline ${pipeline} is not running${kept.length === 0 ? "" : "; what it has stored is kept"}`,
    fix: `Start it with \`flowctl up -d\`${where}${kept.length === 0 ? "" : ", or remove what is kept with `flowctl down -v`"}`,
    cause,
  });
}
