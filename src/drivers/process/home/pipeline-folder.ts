import type { Dirent } from "node:fs";
import { readdir, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FlowctlError } from "../../../foundation/errors.ts";
import { makeFolder } from "../../../foundation/make-folder.ts";
import { hasBegunToExit, identify } from "../instance/process-identity.ts";
import { removeTickets } from "../supervisor/start-ticket.ts";
import { removeSupervisorRecord } from "../supervisor/supervisor-record.ts";
import { isMissing, notRead, notWritten, temporaryWriter } from "./atomic-file.ts";
import { type PipelinePaths, pipelinesFolder } from "./paths.ts";
import { removeProject } from "./project-record.ts";

/** Names of the pipelines that have a folder: one that is empty was left by who was killed when it had just made it. */
export async function pipelineNames(home: string): Promise<readonly string[]> {
  const entries = await listEntries(pipelinesFolder(home));
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).toSorted();
}

/** Why the folder of all pipelines cannot be used, as an error with its fix; undefined when it can, or is yet to be made. */
export async function homeFailure(home: string): Promise<FlowctlError | undefined> {
  return listEntries(pipelinesFolder(home)).then(
    () => undefined,
    (error: FlowctlError) => error,
  );
}

/** Makes room for what outlives instances. */
export async function createState(paths: PipelinePaths): Promise<void> {
  try {
    await makeFolder(paths.state, 0o700);
  } catch (error) {
    throw notWritten(error, `Cannot create ${paths.state}`);
  }
}

/** Removes checkpoints and everything else that instances and the control plane kept. The caller holds the lock. */
export async function removeState(paths: PipelinePaths): Promise<void> {
  await rm(paths.state, { recursive: true, force: true });
  await rm(paths.controlPlane, { recursive: true, force: true });
  await removeAbandonedTemporaries(paths.folder);
  // What is there beside it, somebody is just making or has not taken away yet.
  const rest = (await listFolder(paths.folder)).filter((name) => name !== basename(paths.projectFile));
  if (rest.length > 0) return;
  await removeProject(paths);
  await removeFolderIfEmpty(paths.folder);
}

/** Removes all but the state; that too when there is nothing in it. The caller holds the pipeline's lock. */
export async function removeAllButState(paths: PipelinePaths): Promise<void> {
  for (const folder of [paths.logs, paths.secrets, paths.configs, paths.identity, paths.joining, paths.instances]) {
    await rm(folder, { recursive: true, force: true });
  }
  await removeSupervisorRecord(paths);
  removeTickets(paths);
  for (const folder of new Set([paths.folder, dirname(paths.socket)])) await removeSockets(folder);
  if (dirname(paths.socket) !== paths.folder) await removeFolderIfEmpty(dirname(paths.socket));
  if (!(await holdsFiles(paths.state)) && !(await holdsFiles(paths.controlPlane))) await removeState(paths);
}

/** Those of earlier versions have other names. Whoever holds the lock knows that no supervisor listens there. */
async function removeSockets(folder: string): Promise<void> {
  for (const entry of await listEntries(folder)) {
    if (entry.isSocket()) await rm(join(folder, entry.name), { force: true });
  }
}

/** Removes what whoever was killed while it wrote a file has left beside it. */
async function removeAbandonedTemporaries(folder: string): Promise<void> {
  for (const name of await listFolder(folder)) {
    const writer = temporaryWriter(name);
    if (writer !== undefined && !runs(writer)) await rm(join(folder, name), { force: true });
  }
}

/** Who was killed writes no more, although its parent may not have asked for its end yet. */
function runs(pid: number): boolean {
  return identify(pid) !== undefined && !hasBegunToExit(pid);
}

async function holdsFiles(folder: string): Promise<boolean> {
  for (const entry of await listEntries(folder)) {
    if (!entry.isDirectory() || (await holdsFiles(join(folder, entry.name)))) return true;
  }
  return false;
}

async function listFolder(folder: string): Promise<readonly string[]> {
  return (await listEntries(folder)).map(({ name }) => name);
}

/** Nothing for a folder that is missing, or is none. */
async function listEntries(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error)) return [];
    throw notRead(error, folder);
  }
}

async function removeFolderIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && !isMissing(error)) throw error;
  }
}
