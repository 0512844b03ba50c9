import { mkdir, readdir, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isMissing } from "./atomic-file.ts";
import { type PipelinePaths, pipelinesFolder } from "./paths.ts";
import { removeSupervisorRecord } from "./supervisor-record.ts";

/** Names of the pipelines that have a folder. */
export async function pipelineNames(home: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(pipelinesFolder(home), { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Makes room for what outlives instances. */
export async function createState(paths: PipelinePaths): Promise<void> {
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
}

/** Removes checkpoints and everything else that instances and the control plane kept. */
export async function removeState(paths: PipelinePaths): Promise<void> {
  await rm(paths.state, { recursive: true, force: true });
  await rm(paths.controlPlane, { recursive: true, force: true });
  await removeFolderIfEmpty(paths.folder);
}

/** Removes all but the state; that too when there is nothing in it. The caller holds the pipeline's lock. */
export async function removeAllButState(paths: PipelinePaths): Promise<void> {
  for (const folder of [paths.logs, paths.secrets, paths.configs, paths.instances]) {
    await rm(folder, { recursive: true, force: true });
  }
  await removeSupervisorRecord(paths);
  await rm(paths.socket, { force: true });
  if (dirname(paths.socket) !== paths.folder) await removeFolderIfEmpty(dirname(paths.socket));
  if (!(await holdsFiles(paths.state)) && !(await holdsFiles(paths.controlPlane))) await removeState(paths);
}

async function holdsFiles(folder: string): Promise<boolean> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const entry of entries) {
      if (!entry.isDirectory() || (await holdsFiles(join(folder, entry.name)))) return true;
    }
    return false;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
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
