import { posix } from "node:path";
import type { Readable } from "node:stream";
import { extract, type Pack, pack } from "tar-stream";
import type { ApplyContext } from "../../driver.ts";
import { type Grant, grantedValue } from "../../grants.ts";
import type { Engine } from "../engine/engine.ts";
import type { ContainerSpec } from "./container-spec.ts";
import { type ContainerDetail, getArchive, inspectContainer, putArchive } from "./containers.ts";
import { placeOf } from "./file-places.ts";
import type { UserIds } from "./host-user.ts";

/**
 * Puts secrets and configs into a container that was created and not started, and gives its user the volumes that are
 * its own. Values go over the engine's connection into files only: never into the environment, labels or arguments.
 */
export async function deliverFiles(
  engine: Engine,
  id: string,
  spec: ContainerSpec,
  { deployment, signal }: Pick<ApplyContext, "deployment" | "signal">,
): Promise<void> {
  if (spec.files.length === 0 && spec.owned.length === 0) return;
  const owner = await containerUser(engine, id, signal);
  const readOnly = spec.body.HostConfig.ReadonlyRootfs === true;
  await putFiles(engine, id, spec.files, { readOnly, owner, deployment, signal });
  if (owner === undefined) return;
  for (const target of spec.owned) {
    const archive = pack();
    archive.entry({ name: `${posix.basename(target)}/`, type: "directory", mode: 0o755, ...owner });
    archive.finalize();
    await putArchive(engine, id, posix.dirname(target), archive, signal);
  }
}

/** Puts secrets into a container that does not run and had them removed. */
export async function deliverSecrets(
  engine: Engine,
  detail: ContainerDetail,
  files: readonly Grant[],
  { deployment, signal }: Pick<ApplyContext, "deployment" | "signal">,
): Promise<void> {
  const secrets = files.filter(({ kind }) => kind === "secret");
  const readOnly = detail.HostConfig.ReadonlyRootfs === true;
  const owner = await containerUser(engine, detail.Id, signal);
  await putFiles(engine, detail.Id, secrets, { readOnly, owner, deployment, signal });
}

interface PutOptions {
  readonly deployment: ApplyContext["deployment"];
  readonly signal: AbortSignal;
  readonly readOnly: boolean;
  readonly owner: UserIds | undefined;
}

async function putFiles(
  engine: Engine,
  id: string,
  files: readonly Grant[],
  { readOnly, owner, deployment, signal }: PutOptions,
): Promise<void> {
  for (const [folder, group] of groupByFolder(files, readOnly)) {
    const archive = pack();
    const made = new Set<string>();
    for (const file of group) {
      const place = placeOf(file, readOnly);
      const name = posix.relative(folder, place);
      addParents(archive, posix.dirname(name), folder, made);
      addFile(archive, name, file, grantedValue(file, deployment), owner);
      const target = posix.relative(folder, file.target);
      if (target !== name) archive.entry({ name: target, type: "symlink", linkname: place, mode: 0o777 });
    }
    archive.finalize();
    await putArchive(engine, id, folder, archive, signal);
  }
}

/** A writable container takes all files at its root; a read-only one each at the volume that is mounted for it. */
function groupByFolder(files: readonly Grant[], readOnly: boolean): Map<string, Grant[]> {
  const groups = new Map<string, Grant[]>();
  for (const file of files) {
    const folder = readOnly ? posix.dirname(placeOf(file, readOnly)) : "/";
    groups.set(folder, [...(groups.get(folder) ?? []), file]);
  }
  return groups;
}

/** The folder of secrets is flowctl's own to make; other folders are left as the image has them. */
function addParents(archive: Pack, folder: string, root: string, made: Set<string>): void {
  if (posix.join(root, folder) !== "/run/secrets" || made.has(folder) || folder === ".") return;
  made.add(folder);
  archive.entry({ name: `${folder}/`, type: "directory", mode: 0o755 });
}

function addFile(archive: Pack, name: string, file: Grant, value: Uint8Array, owner: UserIds | undefined): void {
  const uid = Number(file.uid ?? owner?.uid ?? 0);
  const gid = Number(file.gid ?? owner?.gid ?? 0);
  // Only its user may read a secret, as long as that user is known.
  const mode = file.mode ?? (file.kind === "secret" && owner !== undefined && file.uid === undefined ? 0o400 : 0o444);
  archive.entry({ name, mode, uid, gid, size: value.byteLength }, Buffer.from(value));
}

/** Ids of the container's user; undefined for a user whose name the image does not know. */
export async function containerUser(engine: Engine, id: string, signal: AbortSignal): Promise<UserIds | undefined> {
  const user = (await inspectContainer(engine, id, signal))?.Config.User ?? "";
  const [name = "", group] = user.split(":");
  if (name === "" || name === "root") return { uid: 0, gid: numeric(group) ?? 0 };
  const uid = numeric(name);
  if (uid !== undefined && (group === undefined || numeric(group) !== undefined)) {
    return { uid, gid: numeric(group) ?? 0 };
  }
  const passwd = await readFileIn(engine, id, "/etc/passwd", signal);
  const entry = (passwd?.toString("utf8") ?? "")
    .split("\n")
    .map((line) => line.split(":"))
    .find((fields) => fields[0] === name || fields[2] === name);
  const found = uid ?? numeric(entry?.[2]);
  if (found === undefined) return undefined;
  return { uid: found, gid: numeric(group) ?? numeric(entry?.[3]) ?? 0 };
}

function numeric(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Whoever is in a container decides what a file there is by now. */
const MAX_FILE_BYTES = 1024 * 1024;

/** What a file in a container holds, cut after 1 MiB; undefined where that file, or the container, is not there. */
export async function readFileIn(
  engine: Engine,
  id: string,
  path: string,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const archive = await getArchive(engine, id, path, signal);
  if (archive === undefined) return undefined;
  try {
    return await engine.call(`read ${path} of container ${id}`, signal, () => onlyFileOf(archive));
  } finally {
    // Whatever became of it: its connection would keep this program.
    archive.destroy();
  }
}

/** Rejects when the archive breaks off, which a pipe would not tell. */
async function onlyFileOf(archive: Readable): Promise<Buffer> {
  const entries = extract();
  archive.on("error", (error) => entries.destroy(error));
  archive.once("close", () => {
    if (!archive.readableEnded) entries.destroy(new Error("the engine broke off"));
  });
  archive.pipe(entries);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const entry of entries) {
    for await (const chunk of entry) {
      chunks.push(chunk as Buffer);
      size += (chunk as Buffer).byteLength;
      if (size >= MAX_FILE_BYTES) return Buffer.concat(chunks).subarray(0, MAX_FILE_BYTES);
    }
  }
  return Buffer.concat(chunks);
}
