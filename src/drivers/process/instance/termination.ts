import type { Clock } from "../../../foundation/clock.ts";
import { FlowctlError } from "../../../foundation/errors.ts";
import {
  groupMembers,
  isAlive,
  type MarkedProcess,
  markedProcesses,
  type ProcessIdentity,
  signalProcess,
} from "./process-identity.ts";

export interface KillOptions {
  readonly runId: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface TerminationOptions extends KillOptions {
  /** How long the leader may take after SIGTERM; 0 ends everything at once. */
  readonly graceMs: number;
}

/** What cannot be killed within this time is stuck in the kernel. */
const KILL_WAIT_MS = 10_000;

/**
 * Ends the process group of an instance: SIGTERM to its leader only (what a container's first process would get), then,
 * when it is gone or its grace period is over, SIGKILL to whatever is left of the group. Resolves when nothing of it
 * lives. Rejects with kind `cancelled` when the signal fires, having sent at least SIGTERM.
 */
export async function endGroup(leader: ProcessIdentity, options: TerminationOptions): Promise<void> {
  const alive = isAlive(leader);
  if (alive && options.graceMs > 0) {
    signalProcess(leader.pid, "SIGTERM");
    await waitUntil(() => !isAlive(leader), options.graceMs, options);
  }
  if (alive) await endRestOfGroup(leader, options);
  // Of a leader that died long ago the group id may belong to others by now; the marker tells.
  await killAll(() => markedProcesses(options.runId).filter(({ group }) => group === leader.pid), options);
}

/** Ends at once what is left of the group of a leader that lives or has ended only just now. */
export async function endRestOfGroup(leader: ProcessIdentity, options: KillOptions): Promise<void> {
  await killAll(() => groupMembers(leader), options);
}

/**
 * Ends at once every process that carries the marker (and that `only` picks), until a look around finds none. The
 * calling one is spared.
 */
export async function sweep(
  options: KillOptions & { readonly only?: (process: MarkedProcess) => boolean },
): Promise<void> {
  await killAll(() => markedProcesses(options.runId).filter(options.only ?? (() => true)), options);
}

async function killAll(remaining: () => readonly ProcessIdentity[], options: KillOptions): Promise<void> {
  const killed = (): boolean => {
    const left = remaining();
    // One by one, so that no group id that was used again is ever hit.
    for (const { pid } of left) signalProcess(pid, "SIGKILL");
    return left.length === 0;
  };
  if (await waitUntil(killed, KILL_WAIT_MS, options)) return;
  const pids = remaining().map(({ pid }) => pid);
  throw new FlowctlError({
    code: "process/cannot-end",
    kind: "unavailable",
    message: `Cannot kill the process${pids.length === 1 ? "" : "es"} ${pids.join(", ")}`,
    fix: "The kernel is blocking them, usually on a disk or network file system; fix that, then run `flowctl down` again",
  });
}

/** Asks until it is true or the time is over; returns the last answer. Quick at first, then ten times a second. */
export async function waitUntil(
  condition: () => boolean,
  timeoutMs: number,
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  const deadline = options.clock.elapsed() + timeoutMs;
  for (let pause = 5; ; pause = Math.min(pause * 1.5, 100)) {
    if (condition()) return true;
    const left = deadline - options.clock.elapsed();
    if (left <= 0) return false;
    await options.clock.sleep(Math.min(pause, left), options.signal);
  }
}
