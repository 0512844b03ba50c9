import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import { allHostPaths } from "../../../pipeline/host-paths.ts";
import type { Component, HostPath } from "../../../pipeline/pipeline.ts";
import { sectionOf } from "../../../pipeline/resolve/resolved.ts";
import type { HostFile, HostFolder } from "./container-spec.ts";

/** A user of this machine, or of a container. */
export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** Who may use the files and folders of the host that a component is given, and which of them have to be made. */
export interface HostAccess {
  /** `uid:gid` for its container; absent when it is given none. */
  readonly user?: string;
  readonly folders: readonly HostFolder[];
  /** Those that are written, by path: the engine mounts only what is there. */
  readonly files: readonly HostFile[];
}

const FLOWCTL_ID = 10001;

/**
 * Chooses the container's user so that it can use its host folders without being more than it has to: the owner of a
 * folder that it writes, else who runs flowctl, and root (without capabilities) only where root asked for a folder of
 * root's to be written, or for a file to be read that root keeps to itself. For root, who owns the very file that is
 * written decides before who owns its folder: without capabilities nobody else could go on with it. A file that is to be
 * made is its folder's owner's.
 * Throws `docker/path-missing` for what is only read and does not exist, and `docker/shared-folder` for a folder that no
 * component is given.
 */
export async function hostAccess(component: Component, invoker: UserIds | undefined): Promise<HostAccess> {
  const binds = component.mounts.filter(({ type, source }) => type === "bind" && source !== undefined);
  refuseSharedFolder(component);
  const paths: HostPath[] = [
    ...allHostPaths(component),
    ...binds.map(({ source, readOnly }): HostPath => {
      return { path: source ?? "", access: readOnly ? "read" : "write", kind: "folder" };
    }),
  ];
  const written = paths.filter(({ kind, access }) => kind === "file" && access === "write");
  if (invoker === undefined) return { folders: [], files: written.map(({ path }) => ({ path })) };
  if (paths.length === 0) return { folders: [], files: [] };
  const isRoot = invoker.uid === 0;
  const found = await Promise.all(
    paths.map(async (path) => {
      const owner = await ownerOf(path.path);
      // Only root can give away what it makes.
      const isMade = owner === undefined && path.kind === "file" && path.access === "write" && isRoot;
      return { ...path, owner: isMade ? await ownerOf(dirname(path.path)) : owner };
    }),
  );
  refuseMissing(component, found.slice(0, paths.length - binds.length));
  const maker = invoker.uid === 0 ? { uid: FLOWCTL_ID, gid: FLOWCTL_ID } : invoker;
  const folders = found
    .filter(({ owner, access, kind }) => owner === undefined && access === "write" && kind === "folder")
    .map(({ path }): HostFolder => ({ path, ...maker }));
  const only = isRoot ? await solelyUsableBy(component) : undefined;
  const user = only ?? chooseUser(found, invoker, maker);
  return { user: userText(user), folders, files: written.map(({ path }) => ({ path, ...(isRoot ? user : {}) })) };
}

function refuseSharedFolder({ id, type, hostPaths }: Component): void {
  const shared = hostPaths.find(({ isShared }) => isShared);
  if (shared === undefined) return;
  throw new FlowctlError({
    code: "docker/shared-folder",
    kind: "invalid",
    message: `${id} follows a file in ${shared.path}, which contains more than the component may see`,
    fix: "Move the file into a folder of its own, such as `./logs`, or run the pipeline with `--driver process`",
    path: `${sectionOf(type)}.${id}.with`,
  });
}

function refuseMissing(
  { id }: Component,
  paths: readonly (HostPath & { readonly owner: UserIds | undefined })[],
): void {
  const lacking = paths.find(({ access, owner }) => access === "read" && owner === undefined);
  if (lacking === undefined) return;
  const { path, kind } = lacking;
  throw new FlowctlError({
    code: "docker/path-missing",
    kind: "not-found",
    message: `${id} reads ${path}, which does not exist`,
    fix: `create it${kind === "folder" ? ` (\`mkdir -p ${path}\`)` : ""}, or change the path of ${id} in the pipeline file`,
  });
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
async function solelyUsableBy(component: Component): Promise<UserIds | undefined> {
  const named = Object.values(component.with).flat();
  const wanted = allHostPaths(component).flatMap(({ path, access, kind }) => [
    ...(kind === "file" ? [{ path, others: access === "read" ? READ_FILE : NEVER }] : []),
    ...(kind === "folder" && access === "read" ? [{ path, others: READ_FOLDER }] : []),
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
