import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import type { IdentityFolder } from "../../../identity/identity-folder.ts";
import type { JoiningFiles } from "../../../identity/joining-files.ts";
import { joinPem } from "../../../identity/pem.ts";
import type { Component } from "../../../pipeline/pipeline.ts";
import { type Grant, type GrantedValues, grantedValue, grantsOf } from "../../grants.ts";
import { isMissing, notRead, writeFileAtomically } from "../home/atomic-file.ts";
import type { PipelinePaths } from "../home/paths.ts";

/** Where the secrets of an instance lie. */
export function secretsFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.secrets, instance);
}

/** Where the configs of an instance lie; handed over as `FLOWCTL_CONFIGS_DIR`. */
export function configsFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.configs, instance);
}

function joiningFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.joining, instance);
}

const CA_FILE = "ca.pem";

/**
 * Puts there what the next start of an instance joins with, in a folder (0700) of its own, in place of what was there: whatever an earlier
 * start left is of no use from now on.
 */
export async function writeJoining(
  paths: PipelinePaths,
  identity: IdentityFolder,
  component: string,
  instance: string,
): Promise<JoiningFiles> {
  const folder = joiningFolder(paths, instance);
  const [ca, pair] = [join(folder, CA_FILE), join(folder, "joining.pem")];
  await writeFileAtomically(ca, identity.authority.certificate, 0o600);
  await writeFileAtomically(pair, joinPem(await identity.begin(component, instance)), 0o600);
  return { ca, certificate: pair, key: pair };
}

/** The certificate of the authority that an instance was told to trust when it was started; undefined where it speaks in the clear. */
export async function trustedBy(paths: PipelinePaths, instance: string): Promise<string | undefined> {
  const path = join(joiningFolder(paths, instance), CA_FILE);
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw notRead(error, path);
  }
}

/** Where an instance keeps what survives it. */
export function stateFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.state, instance);
}

/**
 * Writes the secrets (0600) and configs (0600) that a component is granted, in folders (0700) of the instance's own,
 * in place of what was there. Rejects with `driver/value-missing` when a value was not handed over.
 */
export async function writeInstanceFiles(
  paths: PipelinePaths,
  instance: string,
  component: Component,
  values: GrantedValues | undefined,
): Promise<void> {
  await removeInstanceFiles(paths, instance);
  await writeGrants(paths, instance, grantsOf(component), values);
}

/** The same for its secrets alone. */
export async function writeSecrets(
  paths: PipelinePaths,
  instance: string,
  component: Component,
  values: GrantedValues | undefined,
): Promise<void> {
  await removeSecrets(paths, instance);
  const secrets = grantsOf(component).filter(({ kind }) => kind === "secret");
  await writeGrants(paths, instance, secrets, values);
}

async function writeGrants(
  paths: PipelinePaths,
  instance: string,
  grants: readonly Grant[],
  values: GrantedValues | undefined,
): Promise<void> {
  await mkdir(secretsFolder(paths, instance), { recursive: true, mode: 0o700 });
  for (const grant of grants) {
    const folder = grant.kind === "secret" ? secretsFolder(paths, instance) : configsFolder(paths, instance);
    await writeFileAtomically(join(folder, grantPath(grant)), grantedValue(grant, values), 0o600);
  }
}

/** Removes the secrets of an instance. */
export async function removeSecrets(paths: PipelinePaths, instance: string): Promise<void> {
  await rm(secretsFolder(paths, instance), { recursive: true, force: true });
}

/** Whether the folder of its secrets is there: it is from when an instance is made until it is stopped. */
export function hasSecrets(paths: PipelinePaths, instance: string): boolean {
  return existsSync(secretsFolder(paths, instance));
}

/** Removes the secrets and configs of an instance, and what it joins with; what it keeps stays. */
export async function removeInstanceFiles(paths: PipelinePaths, instance: string): Promise<void> {
  await removeSecrets(paths, instance);
  await rm(configsFolder(paths, instance), { recursive: true, force: true });
  await rm(joiningFolder(paths, instance), { recursive: true, force: true });
}

/** Where a container has its secrets. */
const SECRETS_ROOT = "/run/secrets/";

/**
 * The path of a granted file below the folder of its instance: that of its target, as in a container, without what
 * the folder stands for, which is `/run/secrets` for secrets and `/` for configs.
 */
function grantPath({ kind, target }: Grant): string {
  const path = posix.normalize(`/${target}`);
  const isInRoot = kind === "secret" && path.startsWith(SECRETS_ROOT);
  return path.slice(isInRoot ? SECRETS_ROOT.length : 1);
}
