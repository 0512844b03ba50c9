import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it that are missing, with `mode`; returns the uppermost that it made, or undefined when all
 * were there.
 * Rejects with what the file system said. In place of `mkdir` with `recursive`, which in Node.js 20 never ends where a folder
 * is there and says of a new one in it that there is no such file or folder, as /proc does.
 */
export async function makeFolder(path: string, mode?: number): Promise<string | undefined> {
  try {
    return await makeOne(path, mode);
  } catch (error) {
    const above = dirname(path);
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (!isMissing || above === path) throw error;
    const first = await makeFolder(above, mode);
    const last = await makeOne(path, mode);
    return first ?? last;
  }
}

/** Undefined when the folder is there, whatever the file system says of making it once more. */
async function makeOne(path: string, mode: number | undefined): Promise<string | undefined> {
  try {
    await mkdir(path, mode);
    return path;
  } catch (error) {
    const isThere = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isThere) throw error;
    return undefined;
  }
}
