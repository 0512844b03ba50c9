import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { Pipeline } from "./pipeline.ts";

/** The folder that a pipeline belongs to: that of its first file, absolute, without symbolic links. */
export function projectFolder({ directory }: Pick<Pipeline, "directory">): string {
  return canonicalFolder(directory);
}

/** An absolute path without symbolic links; of a folder that is not there, as far as its text goes. */
export function canonicalFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
