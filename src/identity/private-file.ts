import { open } from "node:fs/promises";
import { placeFile } from "../foundation/durable-file.ts";
import { FlowctlError } from "../foundation/errors.ts";

/**
 * Replaces a file that only its owner may read: whoever reads sees the old content or the new one, also after a crash or a power cut. The
 * folder has to be there. Rejects with `identity/not-written`.
 */
export async function replacePrivateFile(path: string, content: string): Promise<void> {
  await place(path, content, false);
}

/** As `replacePrivateFile`, but leaves a file that is there already: of several that create it at once one does. */
export async function createPrivateFile(path: string, content: string): Promise<void> {
  await place(path, content, true);
}

async function place(path: string, content: string, keep: boolean): Promise<void> {
  try {
    await placeFile(path, content, { openNew: (temporary) => open(temporary, "wx", 0o600), keep });
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "identity/not-written",
      kind: "failed",
      message: `cannot write ${path}`,
      fix: "Let the program write to the folder of that file, and see that the disk is not full.",
    });
  }
}
