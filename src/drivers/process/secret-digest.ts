import { createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError } from "../../foundation/errors.ts";
import { createFileOnce, isMissing } from "./atomic-file.ts";

/** A keyed digest of a secret's value: tells whether it changed, and nothing else about it. */
export type SecretDigest = (value: Uint8Array) => string;

/**
 * Digests keyed with `<home>/hash.key`, which is made (0600) when it is missing; with `readOnly` a missing one is
 * replaced by a key that nobody else has, so that every secret counts as changed.
 */
export async function secretDigest(home: string, options: { readonly readOnly: boolean }): Promise<SecretDigest> {
  const file = join(home, "hash.key");
  let key = await readKey(file);
  if (key === undefined) {
    key = randomBytes(32);
    if (!options.readOnly) {
      await createFileOnce(file, key);
      key = (await readKey(file)) ?? key;
    }
  }
  const used = key;
  return (value) => createHmac("sha256", used).update(value).digest("hex").slice(0, 32);
}

async function readKey(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw FlowctlError.wrap(error, {
      code: "process/state-not-read",
      kind: "unavailable",
      message: `Cannot read ${file}`,
      fix: "Run flowctl as the user who owns it",
    });
  }
}
