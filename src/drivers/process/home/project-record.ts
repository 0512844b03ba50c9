import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { otherFolder } from "../../other-folder.ts";
import { createFileOnce, readRecord, writeFileAtomically } from "./atomic-file.ts";
import type { PipelinePaths } from "./paths.ts";

/** `project.json`: whose the pipeline and its state are. Stays as long as there is anything of them. */
interface ProjectRecord {
  readonly version: 1;
  /** Folder of the pipeline's first file (see projectFolder). */
  readonly folder: string;
}

/** The folder that the pipeline belongs to; undefined where none is recorded. */
export async function readProjectFolder(paths: PipelinePaths): Promise<string | undefined> {
  const record = await readRecord<ProjectRecord>(paths.projectFile);
  return typeof record?.folder === "string" ? record.folder : undefined;
}

/**
 * Records that the pipeline belongs to `folder`. Rejects with `driver/other-folder` when it belongs to another one: of
 * two folders that ask at once one gets it. State that is all that is left of a folder which is gone changes hands.
 */
export async function claimProject(paths: PipelinePaths, folder: string): Promise<void> {
  const record: ProjectRecord = { version: 1, folder };
  await createFileOnce(paths.projectFile, JSON.stringify(record));
  const owner = await readProjectFolder(paths);
  if (owner === folder) return;
  const isAbandoned = owner === undefined || (!existsSync(owner) && !existsSync(paths.supervisorFile));
  if (!isAbandoned) throw otherFolder(paths.pipeline, owner, folder);
  await writeFileAtomically(paths.projectFile, JSON.stringify(record));
}

/** Forgets the folder. */
export async function removeProject(paths: PipelinePaths): Promise<void> {
  await rm(paths.projectFile, { force: true });
}
