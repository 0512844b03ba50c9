import { mkdir, rm } from "node:fs/promises";
import { join, posix } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { Component, FileGrant } from "../../../pipeline/pipeline.ts";
import { writeFileAtomically } from "../home/atomic-file.ts";
import type { PipelinePaths } from "../home/paths.ts";

/** Values of what one instance is granted, by key of the pipeline's `secrets` and `configs`. */
export interface GrantedValues {
  readonly secrets: ReadonlyMap<string, Uint8Array>;
  readonly configs: ReadonlyMap<string, Uint8Array>;
}

/** Where the secrets of an instance lie. */
export function secretsFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.secrets, instance);
}

/** Where the configs of an instance lie; handed over as `FLOWCTL_CONFIGS_DIR`. */
export function configsFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.configs, instance);
}

/** Where an instance keeps what survives it. */
export function stateFolder(paths: PipelinePaths, instance: string): string {
  return join(paths.state, instance);
}

/**
 * Writes the secrets (0600) and configs (0600) that a component is granted, in folders (0700) of the instance's own,
 * in place of what was there. Rejects with `process/value-missing` when a value was not handed over.
 */
export async function writeInstanceFiles(
  paths: PipelinePaths,
  instance: string,
  component: Component,
  values: GrantedValues,
): Promise<void> {
  await removeInstanceFiles(paths, instance);
  await mkdir(secretsFolder(paths, instance), { recursive: true, mode: 0o700 });
  await writeGrants(secretsFolder(paths, instance), "secret", component.secrets, values.secrets);
  if (component.configs.length === 0) return;
  await mkdir(configsFolder(paths, instance), { recursive: true, mode: 0o700 });
  await writeGrants(configsFolder(paths, instance), "config", component.configs, values.configs);
}

/** Removes the secrets and configs of an instance; what it keeps stays. */
export async function removeInstanceFiles(paths: PipelinePaths, instance: string): Promise<void> {
  await rm(secretsFolder(paths, instance), { recursive: true, force: true });
  await rm(configsFolder(paths, instance), { recursive: true, force: true });
}

/** Where a container has its secrets. */
const SECRETS_ROOT = "/run/secrets/";

/**
 * The path of a granted file below the folder of its instance: that of its target, as in a container, without what
 * the folder stands for, which is `/run/secrets` for secrets and `/` for configs.
 */
function grantPath(what: "secret" | "config", { target }: FileGrant): string {
  const path = posix.normalize(`/${target}`);
  const isInRoot = what === "secret" && path.startsWith(SECRETS_ROOT);
  return path.slice(isInRoot ? SECRETS_ROOT.length : 1);
}

async function writeGrants(
  folder: string,
  what: "secret" | "config",
  grants: readonly FileGrant[],
  values: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  for (const grant of grants) {
    const { source } = grant;
    const value = values.get(source);
    if (value === undefined) {
      throw new FlowctlError({
        code: "process/value-missing",
        kind: "internal",
        message: `The value of the ${what} ${JSON.stringify(source)} was not passed to the driver`,
      });
    }
    await writeFileAtomically(join(folder, grantPath(what, grant)), value, 0o600);
  }
}
