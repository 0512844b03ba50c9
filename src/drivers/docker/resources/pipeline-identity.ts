import { posix } from "node:path";
import { type Pack, pack } from "tar-stream";
import { createAuthority, type IssuedCertificate, openAuthority } from "../../../identity/authority.ts";
import { AUTHORITY_FILE, OPERATOR_FILE } from "../../../identity/identity-folder.ts";
import { joinPem, splitPem } from "../../../identity/pem.ts";
import { FLOWCTL_USER, IDENTITY_DIRECTORY } from "../container/container-spec.ts";
import { putArchive } from "../container/containers.ts";
import { readFileIn } from "../container/deliver-files.ts";
import type { Engine } from "../engine/engine.ts";

/**
 * Makes the authority of a pipeline, and who operates it, in the container of its control plane, which was created and not started, unless
 * the volume has them from before. Every flowctl on the engine can read them there.
 */
export async function deliverIdentity(engine: Engine, container: string, pipeline: string, signal: AbortSignal) {
  if ((await identityFile(engine, container, AUTHORITY_FILE, signal)) !== undefined) return;
  const authority = await createAuthority(pipeline);
  const operator = await openAuthority(pipeline, authority).issue({ role: "operator", pipeline });
  const archive = pack();
  archive.entry({ name: `${posix.basename(IDENTITY_DIRECTORY)}/`, type: "directory", mode: 0o700, ...owner() });
  const put = (name: string, issued: IssuedCertificate): void =>
    putIdentityFile(archive, posix.join(posix.basename(IDENTITY_DIRECTORY), name), joinPem(issued));
  put(OPERATOR_FILE, operator);
  // Last: where it is, everything is.
  put(AUTHORITY_FILE, authority);
  archive.finalize();
  await putArchive(engine, container, posix.dirname(IDENTITY_DIRECTORY), archive, signal);
}

/** A certificate and its key, out of a file of the folder; undefined where that, or the container, is not there. */
export async function identityFile(
  engine: Engine,
  container: string,
  name: string,
  signal: AbortSignal,
): Promise<IssuedCertificate | undefined> {
  const content = await readFileIn(engine, container, `${IDENTITY_DIRECTORY}/${name}`, signal);
  return content === undefined ? undefined : splitPem(content.toString("utf8"));
}

/** Adds a file that the control plane alone can read. */
export function putIdentityFile(archive: Pack, name: string, content: string): void {
  archive.entry({ name, mode: 0o600, ...owner() }, content);
}

function owner(): { readonly uid: number; readonly gid: number } {
  const [uid = 0, gid = 0] = FLOWCTL_USER.split(":").map(Number);
  return { uid, gid };
}
