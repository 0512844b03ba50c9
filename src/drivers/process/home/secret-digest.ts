import { createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import { createFileOnce, isMissing } from "./atomic-file.ts";

/** A keyed digest of a secret's value: tells whether it changed, and nothing else about it. */
export type SecretDigest = (value: Uint8Array) => string;

/**
 * Digests keyed with `<home>/hash.key`, which is made (0600) when it is missing; with `readOnly` a missing one is
 * replaced by a key that nobody else has, so that every secret counts as changed.
 */
export async function secretDigest(home: string, options: { readonly readOnly: boolean }): Promise<SecretDigest> {
  const key = await homeKey(home, options);
  return (value) => createHmac("sha256", key).update(value).digest("hex").slice(0, 32);
}

/**
 * 32 random bytes that belong to the home: `hash.key` in it. A missing one is made; with `readOnly` one that nobody else has is
 * given instead. Rejects with `process/state-not-read`, or as the file system does.
 */
export async function homeKey(home: string, options: { readonly readOnly: boolean }): Promise<Uint8Array> {
  const file = join(home, "hash.key");
  const key = await readKey(file);
  if (key !== undefined) return key;
  const made = randomBytes(32);
  if (options.readOnly) return made;
  await createFileOnce(file, made);
  return (await readKey(file)) ?? made;
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
      fix: `Run flowctl as the owner of the file; \`ls -l ${file}\` shows the owner`,
    });
  }
}
