import type { Driver, LogLine } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { PipelineRecord } from "../../protocol/records.ts";

/** Why a pipeline failed: its own reason, and every instance that did. */
export interface Failure {
  readonly reason: string;
  readonly instances: readonly { readonly id: string; readonly reason: string }[];
}

/** What failed, from the record of a failed pipeline. */
export function failureOf(record: PipelineRecord): Failure {
  const instances = record.components.flatMap((component) =>
    component.instances
      .filter(({ state }) => state === "failed")
      .map(({ id, reason }) => ({ id, reason: reason === "" ? "failed" : reason })),
  );
  const silent = record.components
    .filter(({ state, instances: own }) => state === "failed" && own.length === 0)
    .map(({ id }) => ({ id, reason: "failed before it registered" }));
  return { reason: record.reason, instances: [...instances, ...silent] };
}

/** The error that a command ends with when its pipeline failed. `gone`: nothing of it is left to be looked at. */
export function failureError(pipeline: string, failure: Failure, gone = false): FlowctlError {
  const [first] = failure.instances;
  const rest = failure.instances.length - 1;
  const why =
    first === undefined ? failure.reason : `${first.id} ${first.reason}${rest > 0 ? ` (and ${rest} more)` : ""}`;
  return new FlowctlError({
    code: "cli/pipeline-failed",
    kind: "failed",
    message: `${pipeline} failed${why === "" ? "" : `: ${why}`}`,
    fix: gone
      ? "See what it logged above; `flowctl up` in place of `run` leaves everything there to be looked at"
      : first === undefined
        ? `See what happened with \`flowctl events -p ${pipeline}\``
        : `See its logs with \`flowctl logs -p ${pipeline} ${first.id}\``,
  });
}

/** The last lines that an instance logged, at most `count`; none when it never ran or they cannot be read. */
export async function lastLines(
  driver: Pick<Driver, "logs">,
  pipeline: string,
  instance: string,
  count: number,
  signal: AbortSignal,
): Promise<readonly LogLine[]> {
  const lines: LogLine[] = [];
  try {
    for await (const line of driver.logs(pipeline, { select: [instance], follow: false, tail: count }, signal)) {
      lines.push(line);
    }
  } catch (error) {
    // They only illustrate a failure that is reported anyway.
    if (!(error instanceof FlowctlError) || error.kind === "cancelled") throw error;
  }
  return lines.slice(-count);
}
