import { open } from "node:fs/promises";
import type { Output } from "./display/output.ts";

/** Who but the owner can read or write a file, by its mode. */
const OTHERS = 0o077;

/**
 * What a file of the user's holds that is to be theirs alone, such as one with a key; "" where it is longer than `mostBytes`. Warns where others
 * can get at it, and reads it all the same: what they could read they may have read, and who mounts a file for a program may choose its mode.
 * Rejects as the file system does.
 */
export async function readPrivateFile(
  path: string,
  output: Pick<Output, "warn">,
  mostBytes = Number.POSITIVE_INFINITY,
): Promise<string> {
  const file = await open(path, "r");
  try {
    const found = await file.stat();
    if (found.isFile() && (found.mode & OTHERS) !== 0)
      output.warn(`${path} can be read by other users of this machine`, `Run \`chmod 600 ${path}\``);
    return found.size > mostBytes ? "" : await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
