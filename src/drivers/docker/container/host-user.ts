import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { Component, HostPath } from "../../../pipeline/pipeline.ts";
import type { HostFolder } from "./container-spec.ts";

/** A user of this machine, or of a container. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** Who may use the host folders of a component, and which of them have to be made. */
export interface HostAccess {
  /** `uid:gid` for its container; absent when it touches no host folder. */
  readonly user?: string;
  readonly folders: readonly HostFolder[];
}

const FLOWCTL_ID = 10001;

/**
 * Chooses the container's user so that it can use its host folders without being more than it has to: the owner of a
 * folder that it writes, else who runs flowctl, and root (without capabilities) only where root asked for a folder of
 * root's to be written, or for a file to be read that root keeps to itself. For root, who owns the very file that is
 * written decides before who owns its folder: without capabilities nobody else could go on with it.
 * Throws `docker/path-missing` for a folder that is only read and does not exist.
 */
export async function hostAccess(component: Component, invoker: UserIds | undefined): Promise<HostAccess> {
  const binds = component.mounts.filter(({ type, source }) => type === "bind" && source !== undefined);
  const paths: HostPath[] = [
    ...component.hostPaths,
    ...binds.map(({ source, readOnly }) => ({
      path: source ?? "",
      access: readOnly ? ("read" as const) : ("write" as const),
    })),
  ];
  if (paths.length === 0 || invoker === undefined) return { folders: [] };
  const found = await Promise.all(paths.map(async (path) => ({ ...path, owner: await ownerOf(path.path) })));
  const lacking = component.hostPaths.find(({ path, access }) => {
    return access === "read" && found.some((entry) => entry.path === path && entry.owner === undefined);
  });
  if (lacking !== undefined) {
    throw new FlowctlError({
      code: "docker/path-missing",
      kind: "not-found",
      message: `${component.id} reads ${lacking.path}, which does not exist`,
      fix: `create it (\`mkdir -p ${lacking.path}\`), or change the path of ${component.id} in the pipeline file`,
    });
  }
  const maker = invoker.uid === 0 ? { uid: FLOWCTL_ID, gid: FLOWCTL_ID } : invoker;
  const folders = found
    .filter(({ owner, access }) => owner === undefined && access === "write")
    .map(({ path }): HostFolder => ({ path, ...maker }));
  const only = invoker.uid === 0 ? await solelyUsableBy(component) : undefined;
  return { user: userText(only ?? chooseUser(found, invoker, maker)), folders };
}

function chooseUser(
  paths: readonly (HostPath & { readonly owner: UserIds | undefined })[],
  invoker: UserIds,
  maker: UserIds,
): UserIds {
  const written = paths.filter(({ access }) => access === "write");
  const owned = [...written, ...(written.length === 0 && invoker.uid === 0 ? paths : [])].find(
    ({ owner }) => owner !== undefined && owner.uid !== 0,
  )?.owner;
  if (owned !== undefined) return owned;
  if (invoker.uid !== 0) return invoker;
  return written.some(({ owner }) => owner?.uid === 0) ? { uid: 0, gid: 0 } : maker;
}

/** The owner without whom the files and folders that the settings name could not be used; undefined if others can, too. */
async function solelyUsableBy({ hostPaths, with: settings }: Component): Promise<UserIds | undefined> {
  const named = Object.values(settings).flat();
  const wanted = hostPaths.flatMap(({ path, access }) => [
    ...(access === "read" ? [{ path, others: READ_FOLDER }] : []),
    ...named
      .filter((value): value is string => typeof value === "string" && dirname(value) === path)
      .map((file) => ({ path: file, others: access === "read" ? READ_FILE : NEVER })),
  ]);
  for (const { path, others } of wanted) {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && (found.mode & others) !== others) {
      return { uid: found.uid, gid: found.gid };
    }
  }
  return undefined;
}

/** Permissions of others that make it usable for them. */
const READ_FILE = 0o004;
const READ_FOLDER = 0o005;
/** No file has it: writing is left to the owner, whatever others may. */
const NEVER = 0o1000000;

function userText({ uid, gid }: UserIds): string {
  return `${uid}:${gid}`;
}

async function ownerOf(path: string): Promise<UserIds | undefined> {
  try {
    const { uid, gid } = await stat(path);
    return { uid, gid };
  } catch {
    return undefined;
  }
}
