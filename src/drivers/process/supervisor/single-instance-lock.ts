import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { FlowctlError } from "../../../foundation/errors.ts";
import { holdName } from "../../../foundation/machine-lock.ts";
import { identify, isAlive, type ProcessIdentity } from "../instance/process-identity.ts";

/** Held by whoever may start and end processes of a pipeline: its supervisor, or a command while there is none. */
export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes the lock of a pipeline, or returns undefined when another process holds it. It goes with the process that
 * holds it, however that ends.
 *
 * On Linux it is a socket of the abstract namespace: the kernel gives the name to one process and takes it back at
 * its end, so that there is nothing stale to judge. Elsewhere it is a file that names its holder.
 */
export function acquireLock(runId: string): Promise<Lock | undefined> {
  return process.platform === "linux" ? lockBySocket(runId) : lockByFile(`/tmp/flowctl-${runId}.lock`);
}

async function lockBySocket(name: string): Promise<Lock | undefined> {
  try {
    return await holdName(name);
  } catch (error) {
    const failure = { code: "process/no-lock", kind: "unavailable", message: "Cannot lock the pipeline" } as const;
    throw FlowctlError.wrap(error, failure);
  }
}

/** A lock that is a file, `path`: as `acquireLock` where there are no names of the kernel's. */
export async function lockByFile(path: string): Promise<Lock | undefined> {
  const own = JSON.stringify(identify(process.pid));
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, own, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (tryLink(mine, path)) return { release: async () => rmSync(path, { force: true }) };
      const holder = readHolder(path);
      if (holder !== undefined && isAlive(holder)) return undefined;
      // Moved away before it is judged again, so that of two that see a dead holder only one takes its place.
      const aside = `${mine}.stale`;
      if (!tryRename(path, aside)) continue;
      const moved = readHolder(aside);
      if (moved !== undefined && isAlive(moved)) tryLink(aside, path);
      rmSync(aside, { force: true });
    }
    return undefined;
  } finally {
    rmSync(mine, { force: true });
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch {
    return false;
  }
}

function tryRename(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
