import { type FileHandle, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeLastingFolder, placeFile } from "../../../foundation/durable-file.ts";
import { FlowctlError } from "../../../foundation/errors.ts";

/**
 * Replaces a file as a whole: whoever reads sees the old content or the new one, also after a crash or a power cut; when it
 * resolves, the new one.
 * Makes the folder (0700) when it is missing.
 */
export function writeFileAtomically(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  return place(path, content, mode, false);
}

/** As `writeFileAtomically`, but leaves a file that is there already: of several that create it at once one does. */
export function createFileOnce(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  return place(path, content, mode, true);
}

async function place(path: string, content: string | Uint8Array, mode: number, keep: boolean): Promise<void> {
  try {
    await placeFile(path, content, { openNew: (temporary) => openInFolder(temporary, mode), keep });
  } catch (error) {
    throw notWritten(error, `Cannot write ${path}`);
  }
}

/** Makes the folder when it is missing, also where somebody who takes things away removes it at this moment. */
async function openInFolder(path: string, mode: number): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    await makeLastingFolder(dirname(path), 0o700);
    try {
      return await open(path, "wx", mode);
    } catch (error) {
      if (!isMissing(error) || attempt === 10) throw error;
    }
  }
}

/** The process that wrote a file of this name and has not put it into its place; undefined for any other name. */
export function temporaryWriter(name: string): number | undefined {
  const pid = /\.(\d+)\.[0-9a-f]{8}\.tmp$/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** The error for what the file system refuses to keep in FLOWCTL_HOME. */
export function notWritten(error: unknown, message: string): FlowctlError {
  return FlowctlError.wrap(error, {
    code: "process/state-not-written",
    kind: "unavailable",
    message,
    fix: `${remedy((error as NodeJS.ErrnoException).code)}, or set FLOWCTL_HOME to another folder`,
  });
}

/** The error for what cannot be read in FLOWCTL_HOME. */
export function notRead(error: unknown, path: string): FlowctlError {
  return FlowctlError.wrap(error, {
    code: "process/state-not-read",
    kind: "unavailable",
    message: `Cannot read ${path}`,
    fix: "Run flowctl as the owner of the file, or set FLOWCTL_HOME to another folder",
  });
}

function remedy(code: string | undefined): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "Free disk space";
    case "EROFS":
      return "Mount the file system writable";
    case "ENOTDIR":
    case "EEXIST":
      return "Move the file that has the name of a required folder";
    default:
      return "Make the folder writable";
  }
}

/** Reads a record that `writeFileAtomically` wrote as JSON; undefined when there is none, or one of another version. */
export async function readRecord<T extends { readonly version: 1 }>(path: string): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw notRead(error, path);
  }
  try {
    const value = JSON.parse(text) as T | null;
    return value?.version === 1 ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a file-system call failed because there is no such file or folder. */
export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOENT" || code === "ENOTDIR";
}
