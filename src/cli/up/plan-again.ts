import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { isEmpty } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";
import type { PreparedUp } from "./change.ts";

/** Between two tries while another command changes the pipeline, in milliseconds. */
const BUSY_RETRY = 500;

/** Plans once no other command changes the pipeline any more, however long that takes; says once what it waits for. */
export async function prepareOnceFree(
  { deps, output, signal }: CommandContext,
  prepare: () => Promise<PreparedUp>,
): Promise<PreparedUp> {
  for (let said = false; ; said = true) {
    try {
      return await prepare();
    } catch (error) {
      if (!hasCode(error, "control/operation-under-way")) throw error;
      if (!said) output.say(`${(error as FlowctlError).message}; waiting until that is done`);
      await deps.clock.sleep(BUSY_RETRY, signal);
    }
  }
}

/**
 * Carries out what `prepare` has planned. When another command changed the pipeline after that was planned, it plans once more: where
 * that command has already brought about all that is wanted, as when the same file is started twice at once, it goes on with
 * that; else it rejects with `control/changed-since`, as its change might undo the other one's.
 */
export async function carryOutOrJoin<Result>(
  context: CommandContext,
  prepare: () => Promise<PreparedUp>,
  carryOut: (prepared: PreparedUp) => Promise<Result>,
): Promise<Result> {
  for (let prepared = await prepare(); ; ) {
    try {
      return await carryOut(prepared);
    } catch (error) {
      if (!(error instanceof FlowctlError) || !hasCode(error, "control/changed-since")) throw error;
      context.output.say(`${error.message}; comparing again`);
      const again = await prepareOnceFree(context, prepare);
      if (!isEmpty(again.plan)) {
        again.release();
        again.access.close();
        throw error;
      }
      prepared = again;
    }
  }
}
