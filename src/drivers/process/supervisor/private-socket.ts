import { lstatSync } from "node:fs";
import { dirname } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";

/**
 * Throws `process/socket-not-private` when a socket lies right under /tmp (see pipelinePaths) in a folder that is
 * somebody else's or open to others: whoever made it could be behind the socket, and secrets go through it. A folder
 * that is missing is no error.
 */
export function assertPrivateSocket(socketPath: string): void {
  const folder = dirname(socketPath);
  if (dirname(folder) !== "/tmp") return;
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0) return;
  throw new FlowctlError({
    code: "process/socket-not-private",
    kind: "denied",
    message: `${folder} belongs to another user, or other users have access to it`,
    fix: "Remove it, or set FLOWCTL_HOME to a shorter path so that the socket fits inside it",
  });
}
