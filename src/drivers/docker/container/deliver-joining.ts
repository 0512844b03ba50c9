import { posix } from "node:path";
import { pack } from "tar-stream";
import { FlowctlError } from "../../../foundation/errors.ts";
import { type Authority, openAuthority } from "../../../identity/authority.ts";
import { AUTHORITY_FILE, beginChain, startedFile } from "../../../identity/identity-folder.ts";
import { joinPem } from "../../../identity/pem.ts";
import type { Engine } from "../engine/engine.ts";
import { identityFile, putIdentityFile } from "../resources/pipeline-identity.ts";
import { type ContainerSpec, IDENTITY_DIRECTORY, JOINING_FILES, RUN_DIRECTORY } from "./container-spec.ts";
import { type ContainerDetail, putArchive } from "./containers.ts";
import { controlPlaneName } from "./control-plane-container.ts";
import { containerUser } from "./deliver-files.ts";

/**
 * What makes the certificates that instances join with. Rejects with `identity/missing` where the pipeline has no control plane, which
 * has it, and with `identity/damaged`.
 */
export async function authorityOf(engine: Engine, pipeline: string, signal: AbortSignal): Promise<Authority> {
  const kept = await identityFile(engine, controlPlaneName(pipeline), AUTHORITY_FILE, signal);
  if (kept !== undefined) return openAuthority(pipeline, kept);
  throw new FlowctlError({
    code: "identity/missing",
    kind: "failed",
    message: `pipeline ${pipeline} has no control plane, or that has lost its authority: there is nothing that an instance could join with`,
    fix: `Run \`flowctl up -d -p ${pipeline}\`, which makes what is missing`,
  });
}

/** Whether the program in a container was told to join, as a component's is; one from before there were identities was not. */
export function joinsPipeline({ Config }: Pick<ContainerDetail, "Config">): boolean {
  return Config.Env?.includes(`FLOWCTL_TLS_KEY=${JOINING_FILES.key}`) ?? false;
}

/**
 * Puts what the instance joins with into a container that does not run, in a folder that its user alone can read and write. From
 * now on what an earlier start of the instance joined with counts no more.
 */
export async function deliverJoining(
  engine: Engine,
  id: string,
  { component, instance }: NonNullable<ContainerSpec["joins"]>,
  authority: Authority,
  signal: AbortSignal,
): Promise<void> {
  const { serial, issued } = await beginChain(authority, component, instance);
  const started = pack();
  putIdentityFile(started, startedFile(component, instance), `${serial}\n`);
  started.finalize();
  await putArchive(engine, controlPlaneName(authority.pipeline), IDENTITY_DIRECTORY, started, signal);

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
