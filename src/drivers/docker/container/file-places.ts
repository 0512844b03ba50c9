import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { Grant } from "../../grants.ts";
import { SECRETS_DIRECTORY } from "./container-spec.ts";

/**
 * Where the file of a grant really is in its container. A secret with a target elsewhere is in the folder of secrets all the same, which
 * is a volume, and its target is a link to it: else its value would be in the container's writable layer, or in a volume of the
 * pipeline. A read-only container has a volume in each folder that files are in, since no links can be made there.
 */
export function placeOf({ kind, target }: Pick<Grant, "kind" | "target">, readOnly: boolean): string {
  const path = posix.normalize(target);
  if (kind === "config" || readOnly || path.startsWith(`${SECRETS_DIRECTORY}/`)) return path;
  return `${SECRETS_DIRECTORY}/.${createHash("sha256").update(path).digest("hex").slice(0, 16)}`;
}

/** The folder that a volume is mounted at for it; undefined for what is in the writable layer. */
export function volumeFolderOf(grant: Pick<Grant, "kind" | "target">, readOnly: boolean): string | undefined {
  if (readOnly) return posix.dirname(placeOf(grant, readOnly));
  return grant.kind === "secret" ? SECRETS_DIRECTORY : undefined;
}
