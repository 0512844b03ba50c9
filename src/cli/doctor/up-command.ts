import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { canonicalFolder } from "../../pipeline/project-folder.ts";
import type { CommandContext } from "../command.ts";
import { findPipelineFiles } from "../find-pipeline-files.ts";

/**
 * The command that makes a pipeline run as its file says, as it can be typed in the current folder; undefined where there is no
 * such file: its folder is gone, or holds none of the usual name.
 *
 * @param folder That the pipeline belongs to, where that was recorded.
 */
export async function upCommandOf(
  { settings, deps }: CommandContext,
  name: string,
  folder: string | undefined,
): Promise<string | undefined> {
  const upWith = (files: readonly string[]): string =>
    ["flowctl up -d", "-p", name, ...files.flatMap((file) => ["-f", quoted(file)])].join(" ");
  const named = settings.files.map((file) => resolve(deps.cwd, file));
  const isFor = (file: string): boolean => folder === undefined || canonicalFolder(dirname(file)) === folder;
  if (named[0] !== undefined && isFor(named[0])) return upWith(settings.files);
  const [here] = await findPipelineFiles(deps.cwd);
  if (here !== undefined && isFor(here)) return upWith([]);
  if (folder === undefined || !existsSync(folder)) return undefined;
  const files = await findPipelineFiles(folder);
  return files[0] !== undefined && isFor(files[0]) ? upWith(files) : undefined;
}

/** A word of a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
