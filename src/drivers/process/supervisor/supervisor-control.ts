import { FlowctlError, hasCode } from "../../../foundation/errors.ts";
import { placeAuthority } from "../../../identity/identity-folder.ts";
import type { Change, DesiredResource, ObservedResource } from "../../driver.ts";
import { createState, removeAllButState, removeState } from "../home/pipeline-folder.ts";
import { isAlive } from "../instance/process-identity.ts";
import { sweep, waitUntil } from "../instance/termination.ts";
import { acquireLock, type Lock } from "./single-instance-lock.ts";
import { isUnusable, NO_SUPERVISOR } from "./supervisor-client.ts";
import type { Ending } from "./supervisor-codec.ts";
import { endSupervisor, ensureSupervisor, type LaunchOptions } from "./supervisor-launch.ts";
import { ending, supervisorService } from "./supervisor-messages.ts";
import { readSupervisorRecord, type SupervisorSpec } from "./supervisor-record.ts";

const EXIT_DEADLINE_MS = 10_000;
const LOCK_DEADLINE_MS = 30_000;
const BECOME_ATTEMPTS = 3;

/** Carries out one change of the control plane. Instances go on over everything but `remove`. */
export async function changeSupervisor(change: Change, force: boolean, options: LaunchOptions): Promise<void> {
  switch (change.action) {
    case "create":
      return become(change.resource, options);
    case "replace":
      return become(change.resource, options, change.observed);
    case "start":
      await ensureSupervisor(undefined, options);
      return;
    case "stop":
      return shutDown("keep", options);
    case "restart":
      await shutDown("keep", options);
      await ensureSupervisor(undefined, options);
      return;
    case "remove":
      await shutDown(force ? "kill" : "stop", options);
      return clearAway(options);
  }
}

/**
 * Makes sure that a supervisor runs as desired: an other one's, if it is the same; in place of one that differs, or that
 * is still the `replaced` one.
 */
async function become(resource: DesiredResource, options: LaunchOptions, replaced?: ObservedResource): Promise<void> {
  const { hash, parts, spec } = resource;
  const there = await readSupervisorRecord(options.paths);
  if (there !== undefined && replaced !== undefined && String(there.identity.pid) === replaced.ref) {
    await shutDown("keep", options);
  }
  for (let attempt = 1; attempt <= BECOME_ATTEMPTS; attempt++) {
    // One that runs has the authority of before in memory, and is replaced.
    if (options.authority !== undefined && (await readSupervisorRecord(options.paths))?.hash !== hash)
      await placeAuthority(options.paths.identity, options.authority);
    await ensureSupervisor({ hash, parts, spec: spec as SupervisorSpec }, options);
    const record = await readSupervisorRecord(options.paths);
    if (record?.hash === hash) return;
    await shutDown("keep", options);
  }
  throw busy(options);
}

/** Asks the supervisor to end, or makes it when it does not answer. Resolves when none is left. */
async function shutDown(instances: Ending, options: LaunchOptions): Promise<void> {
  const { paths, signal, supervisors } = options;
  const record = await readSupervisorRecord(paths);
  try {
    await options.greet(paths, signal);
    await supervisors.request(paths, supervisorService.shutdown, { instances: ending.of(instances) }, { signal });
    if (record !== undefined) await waitUntil(() => !isAlive(record.identity), EXIT_DEADLINE_MS, options);
  } catch (error) {
    if (!hasCode(error, NO_SUPERVISOR) && !isUnusable(error)) throw error;
  }
  await endSupervisor(options);
}

/** Ends whatever still carries the pipeline's marker, and removes its files but the state. */
async function clearAway(options: LaunchOptions): Promise<void> {
  const { paths, clock, signal } = options;
  const lock = await takeLock(options);
  try {
    await sweep({ runId: paths.runId, clock, signal });
    await removeAllButState(paths);
  } finally {
    await lock.release();
  }
}

/** Makes room for what outlives instances, or removes it where nobody can be using it. */
export async function changeState(change: Change, options: LaunchOptions): Promise<void> {
  const { paths } = options;
  if (change.action !== "remove") return createState(paths);
  // With the lock in hand no supervisor runs, and none that is started now comes so far as to open anything.
  const lock = await lockUnlessSupervised(options);
  if (lock === undefined) {
    throw new FlowctlError({
      code: "driver/volume-in-use",
      kind: "conflict",
      message: `The state of ${paths.pipeline} is in use`,
      fix: `Take the pipeline down first: \`flowctl down -p ${paths.pipeline}\``,
    });
  }
  try {
    await removeState(paths);
  } finally {
    await lock.release();
  }
}

/** Waits for another command that holds the lock; undefined when it is a supervisor that does. */
async function lockUnlessSupervised({ paths, clock, signal }: LaunchOptions): Promise<Lock | undefined> {
  const deadline = clock.elapsed() + LOCK_DEADLINE_MS;
  for (;;) {
    const lock = await acquireLock(paths.runId);
    if (lock !== undefined) return lock;
    const supervisor = await readSupervisorRecord(paths);
    if ((supervisor !== undefined && isAlive(supervisor.identity)) || clock.elapsed() > deadline) return undefined;
    await clock.sleep(50, signal);
  }
}

/** A supervisor that somebody starts in this moment is ended: the pipeline is going. */
async function takeLock(options: LaunchOptions): Promise<Lock> {
  const { paths, clock, signal } = options;
  const deadline = clock.elapsed() + LOCK_DEADLINE_MS;
  for (;;) {
    const lock = await acquireLock(paths.runId);
    if (lock !== undefined) return lock;
    if (clock.elapsed() > deadline) throw busy(options);
    await endSupervisor(options);
    await clock.sleep(50, signal);
  }
}

function busy(options: LaunchOptions): FlowctlError {
  return new FlowctlError({
    code: "process/busy",
    kind: "conflict",
    message: `Another command is working on ${options.paths.pipeline}`,
    fix: `Run this command again once it is done; check the progress with \`flowctl status -p ${options.paths.pipeline}\``,
  });
}
