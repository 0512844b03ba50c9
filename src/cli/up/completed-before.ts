import type { PipelineEvent, PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import { isAway } from "../control-plane-access.ts";
import type { Output } from "../display/output.ts";
import { humanDuration } from "../display/quantities.ts";

/** How long the control plane may take to answer after its start, in milliseconds; what comes next needs it as well. */
const PATIENCE = 30_000;

/**
 * When the run before this one completed, in Unix milliseconds; undefined when none has, or it ended in another way. `record`
 * is the pipeline as it was before this start; where no control plane ran, the one that runs now is asked what it has kept.
 */
export async function completedBefore(
  record: PipelineRecord | undefined,
  access: ControlPlaneAccess,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (record !== undefined) return record.state === "completed" ? record.finishedAt : undefined;
  try {
    return await access.persistently(PATIENCE, signal, async (client, inner) => {
      const events: PipelineEvent[] = [];
      for await (const event of client.watchEvents({ after: 0, follow: false }, inner)) events.push(event);
      return completionIn(events);
    });
  } catch (error) {
    // It is only told to people: a control plane that does not answer is reported by what needs it.
    if (isAway(error)) return undefined;
    throw error;
  }
}

/** When the last run among events completed: nothing has run since. */
export function completionIn(events: readonly PipelineEvent[]): number | undefined {
  const states = events.filter(({ type }) => type === "pipeline.state");
  const last = states.findLast(({ to }) => to === "completed" || to === "failed" || to === "running");
  return last?.to === "completed" ? last.time : undefined;
}

/** Says that a pipeline had completed, what that means for what it reads, and how to run it from the beginning. */
export function sayCompletedBefore(output: Output, pipeline: string, completedAt: number, now: number): void {
  const ago = humanDuration(Math.max(0, now - completedAt));
  output.say(
    `${pipeline} completed ${ago} ago (${new Date(completedAt).toISOString()}). Its sources resume from their stored positions: only new data is read.\n  To run it from the beginning: \`flowctl down -v -p ${pipeline}\`, then \`flowctl up\``,
  );
}
