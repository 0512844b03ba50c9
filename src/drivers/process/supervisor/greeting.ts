import type { Clock } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import type { PipelinePaths } from "../home/paths.ts";
import { isAlive, isStopped, type ProcessIdentity } from "../instance/process-identity.ts";
import { SUPERVISOR_LOST, type SupervisorClient } from "./supervisor-client.ts";
import { readSupervisorRecord } from "./supervisor-record.ts";
import type { SupervisorHello } from "./supervisor-server.ts";

/**
 * Asks the supervisor of a pipeline who it is. Rejects as `hello`; with SUPERVISOR_LOST at once when the same one was
 * found hanging a moment ago, so that a command of several steps waits for it once.
 */
export type Greet = (paths: PipelinePaths, signal: AbortSignal) => Promise<SupervisorHello>;

/** For how long who hung is not asked again, in milliseconds: longer than the steps of one command take. */
const HANGS_FOR_MS = 15_000;

/**
 * So many times as long as who is stopped may be silent who runs before it hangs, too. On a busy machine it is slow, and to end it and
 * start another one would make everything slower still.
 */
const SLOWER = 7.5;

/** @param patienceMs who is stopped and has not answered within this time hangs. */
export function createGreeting(
  supervisors: SupervisorClient,
  clock: Pick<Clock, "elapsed">,
  patienceMs: number,
): Greet {
  const hanging = new Map<string, { readonly identity: ProcessIdentity; readonly until: number }>();
  return async (paths, signal) => {
    const known = hanging.get(paths.runId);
    const identity = (await readSupervisorRecord(paths))?.identity;
    const same = known !== undefined && known.identity.birth === identity?.birth && known.identity.pid === identity.pid;
    if (same && clock.elapsed() < known.until && isAlive(known.identity)) throw hangs(paths, known.identity);
    hanging.delete(paths.runId);
    try {
      return await patiently(supervisors, paths, identity, signal, patienceMs);
    } catch (error) {
      if (!hasCode(error, SUPERVISOR_LOST) || identity === undefined || !isAlive(identity)) throw error;
      hanging.set(paths.runId, { identity, until: clock.elapsed() + HANGS_FOR_MS });
      throw hangs(paths, identity);
    }
  };
}

async function patiently(
  { hello }: SupervisorClient,
  paths: PipelinePaths,
  identity: ProcessIdentity | undefined,
  signal: AbortSignal,
  patienceMs: number,
): Promise<SupervisorHello> {
  try {
    return await hello(paths, signal, patienceMs);
  } catch (error) {
    const isLost = !hasCode(error, SUPERVISOR_LOST) || identity === undefined || !isAlive(identity);
    if (isLost || isStopped(identity.pid)) throw error;
    return await hello(paths, signal, patienceMs * (SLOWER - 1));
  }
}

function hangs({ pipeline }: PipelinePaths, { pid }: ProcessIdentity): FlowctlError {
  return new FlowctlError({
    code: SUPERVISOR_LOST,
    kind: "unavailable",
    message: `The supervisor of ${pipeline} (process ${pid}) is not responding; its components continue without it`,
    fix: `Run \`flowctl up -d -p ${pipeline}\` to replace it, \`flowctl down ${pipeline}\` to stop everything, or \`kill -CONT ${pid}\` if you suspended it`,
  });
}
