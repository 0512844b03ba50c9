import { createHash } from "node:crypto";
import type { Partition } from "../protocol/records.ts";

/**
 * What the ids of a partition's events begin with. It says what is read and nothing of who reads it, so that an event has the
 * same id wherever it is made again; and what is read under another identity has other ids, so that no sink takes it for what
 * it has already.
 */
export function eventIdPrefix(componentId: string, { id, identity }: Partition): string {
  if (id === "" && identity === "") return `${componentId}:`;
  const digest = createHash("sha256")
    .update(JSON.stringify([id, identity]))
    .digest("base64url");
  return `${componentId}.${digest.slice(0, 8)}:`;
}
