import { posix } from "node:path";
import { pack } from "tar-stream";
import { openAuthority } from "../../../identity/authority.ts";
import { AUTHORITY_FILE, beginChain, startedFile } from "../../../identity/identity-folder.ts";
import { joinPem } from "../../../identity/pem.ts";
import type { Engine } from "../engine/engine.ts";
import { identityFile, putIdentityFile } from "../resources/pipeline-identity.ts";
import { type ContainerSpec, IDENTITY_DIRECTORY, JOINING_FILES, RUN_DIRECTORY } from "./container-spec.ts";
import { putArchive } from "./containers.ts";
import { controlPlaneName } from "./control-plane-container.ts";
import { containerUser } from "./deliver-files.ts";

/**
 * Puts what the instance joins with into a container that was created and not started, in a folder that its user alone can read and write. From
 * now on what an earlier container of the instance joined with counts no more. Nothing where the pipeline has no control plane: there is nothing
 * to join.
 */
export async function deliverJoining(
  engine: Engine,
  id: string,
  { component, instance }: NonNullable<ContainerSpec["joins"]>,
  { pipeline, signal }: { readonly pipeline: string; readonly signal: AbortSignal },
): Promise<void> {
  const controlPlane = controlPlaneName(pipeline);
  const kept = await identityFile(engine, controlPlane, AUTHORITY_FILE, signal);
  if (kept === undefined) return;
  const authority = openAuthority(pipeline, kept);
  const { serial, issued } = await beginChain(authority, component, instance);
  const started = pack();
  putIdentityFile(started, startedFile(component, instance), `${serial}\n`);
  started.finalize();
  await putArchive(engine, controlPlane, IDENTITY_DIRECTORY, started, signal);

  const owner = await containerUser(engine, id, signal);
  const own = pack();
  const folder = posix.dirname(JOINING_FILES.key);
  own.entry({ name: `${posix.basename(folder)}/`, type: "directory", mode: 0o700, ...owner });
  const put = (path: string, content: string): void =>
    void own.entry({ name: posix.relative(RUN_DIRECTORY, path), mode: 0o600, ...owner }, content);
  put(JOINING_FILES.ca, authority.certificate);
  put(JOINING_FILES.key, joinPem(issued));
  own.finalize();
  await putArchive(engine, id, RUN_DIRECTORY, own, signal);
}
