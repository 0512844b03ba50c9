import { chown, open } from "node:fs/promises";
import { dirname } from "node:path";
import { fileFailure } from "../../../foundation/file-failure.ts";
import { makeFolder } from "../../../foundation/make-folder.ts";
import type { Engine } from "../engine/engine.ts";
import { LABEL } from "../resources/labels.ts";
import type { ContainerSpec, HostFile, HostFolder } from "./container-spec.ts";

/** Makes what of the host a container is given and does not exist yet. Nothing on an engine of another machine. */
export async function makeHostPaths(
  engine: Pick<Engine, "local">,
  { hostFolders, hostFiles }: Pick<ContainerSpec, "hostFolders" | "hostFiles">,
): Promise<void> {
  if (!engine.local) return;
  for (const folder of hostFolders) await makeHostFolder(folder);
  for (const file of hostFiles) await makeHostFile(file);
}

/** What `labelledFiles` reads. */
export function filesLabel({ hostFiles }: Pick<ContainerSpec, "hostFiles">): Readonly<Record<string, string>> {
  return hostFiles.length === 0 ? {} : { [LABEL.files]: JSON.stringify(hostFiles) };
}

/** The files that a container writes, by its labels: somebody may have removed them since it was made. */
export function labelledFiles(labels: Readonly<Record<string, string>> | null | undefined): readonly HostFile[] {
  try {
    const parsed: unknown = JSON.parse(labels?.[LABEL.files] ?? "[]");
    return Array.isArray(parsed) ? (parsed as HostFile[]).filter(({ path }) => typeof path === "string") : [];
  } catch {
    return [];
  }
}

async function makeHostFolder(folder: HostFolder): Promise<void> {
  const first = await makeFolder(folder.path);
  if (first !== undefined) await give(folder);
}

async function makeHostFile(file: HostFile): Promise<void> {
  try {
    await makeHostFolder({ ...file, path: dirname(file.path) });
    const handle = await open(file.path, "wx", 0o644);
    await handle.close();
    await give(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw fileFailure(error, { code: "docker/file-not-made", doing: "write", path: file.path });
  }
}

async function give({ path, uid, gid }: HostFolder): Promise<void> {
  if (uid !== undefined) await chown(path, uid, gid ?? uid);
}
