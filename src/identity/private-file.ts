import { randomBytes } from "node:crypto";
import { link, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../foundation/durable-file.ts";
import { FlowctlError } from "../foundation/errors.ts";

/**
 * Replaces a file that only its owner may read: whoever reads sees the old content or the new one, also after a crash or a power cut. The
 * folder has to be there. Rejects with `identity/not-written`.
 */
export async function replacePrivateFile(path: string, content: string): Promise<void> {
  await place(path, content, (temporary) => rename(temporary, path));
}

/** As `replacePrivateFile`, but leaves a file that is there already: of several that create it at once one does. */
export async function createPrivateFile(path: string, content: string): Promise<void> {
  await place(path, content, async (temporary) => {
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    await rm(temporary, { force: true });
  });
}

async function place(path: string, content: string, into: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await into(temporary);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw FlowctlError.wrap(error, {
      code: "identity/not-written",
      kind: "failed",
      message: `cannot write ${path}`,
      fix: "Let the program write to the folder of that file, and see that the disk is not full.",
    });
  }
}
