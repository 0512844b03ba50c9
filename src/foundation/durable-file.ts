import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "./make-folder.ts";

/** What flowctl needs of an open file; a `FileHandle` is one. A call may do less than it was asked for, as in POSIX. */
export interface FileLike {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
  /** Writes the pieces one behind the other. */
  writev(pieces: readonly Uint8Array[], position: number): Promise<{ readonly bytesWritten: number }>;
  datasync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens a file as `node:fs/promises` does. */
export type OpenFile = (path: string, flags: string) => Promise<FileLike>;

export const openFile: OpenFile = open;

/**
 * Writes the whole buffer at `position`. A file system that takes only a part is asked for the rest until it says why not.
 * How much was written when it rejects is unknown.
 */
export async function writeWhole(file: Pick<FileLike, "write">, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new Error(`only ${done} of ${bytes.length} bytes could be written`);
    done += bytesWritten;
  }
}

/** Writes all pieces one behind the other from `position` on, as `writeWhole` does one. */
export async function writePieces(
  file: Pick<FileLike, "writev">,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = pieces.filter(({ length }) => length > 0);
  let at = position;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at);
    if (bytesWritten === 0) throw new Error(`only ${at - position} bytes could be written`);
    at += bytesWritten;
    rest = behind(rest, bytesWritten);
  }
}

/** What is left of pieces without their first `count` bytes. */
function behind(pieces: readonly Uint8Array[], count: number): Uint8Array[] {
  let passed = 0;
  let first = 0;
  while (first < pieces.length && passed + pieces[first]!.length <= count) passed += pieces[first++]!.length;
  const [cut, ...others] = pieces.slice(first);
  return cut === undefined ? [] : [cut.subarray(count - passed), ...others];
}

/** Fills the buffer from `position` on, or with what there is before the end of the file. Returns how many bytes. */
export async function readWhole(file: Pick<FileLike, "read">, buffer: Buffer, position: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Makes the names in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Makes a folder and those above it that are missing, as `makeFolder` does, so that they survive a power cut. */
export async function makeLastingFolder(path: string, mode?: number): Promise<void> {
  const first = await makeFolder(path, mode);
  if (first === undefined) return;
  const top = dirname(first);
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    await syncFolder(folder);
    if (folder === top) return;
  }
}

/**
 * Writes a file as a whole: whoever reads sees the old content or the new one, also after a crash or a power cut; when it resolves, the new
 * one. Rejects with what the file system says, and then leaves nothing.
 *
 * @param openNew Opens a file that is not there yet, beside the one that is meant.
 * @param keep Leaves a file that is there already: of several that create it at once one does.
 */
export async function placeFile(
  path: string,
  content: string | Uint8Array,
  { openNew, keep = false }: { readonly openNew: (path: string) => Promise<FileHandle>; readonly keep?: boolean },
): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  try {
    const file = await openNew(temporary);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    if (keep) await linkOnce(temporary, path);
    else await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function linkOnce(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  await rm(temporary, { force: true });
}
