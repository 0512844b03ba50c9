import { isEmpty, isFirstStart } from "../../planner/plan.ts";
import { renderPlanText } from "../../planner/render-plan.ts";
import type { CommandContext } from "../command.ts";
import type { PreparedUp } from "./change.ts";
import { sayCompletedBefore } from "./completed-before.ts";

/**
 * Carries out the plan of `prepared` under progress, after showing it; of a first start, in which everything is new, only its notes. The signal ends it; default the first interrupt.
 */
export async function startPrepared(
  context: CommandContext,
  prepared: PreparedUp,
  signal: AbortSignal = context.signal,
): Promise<void> {
  const { output } = context;
  const { plan } = prepared;
  if (isFirstStart(plan)) for (const note of plan.notes) output.say(`  ${note}`);
  else if (!isEmpty(plan)) output.say(renderPlanText(plan));
  const progress = await context.progress();
  try {
    await prepared.execute(progress.sink, signal);
  } finally {
    progress.stop();
  }
  if (isEmpty(plan)) output.say(renderPlanText(plan));
  const completedAt = prepared.done.completedBefore;
  if (completedAt !== undefined) {
    sayCompletedBefore(output, prepared.pipeline.name, completedAt, context.deps.clock.now());
  }
}
