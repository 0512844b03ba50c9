import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";

/** How much of a file's beginning tells it from another one. */
const headBytes = 1024;

/** What a file begins with. */
export interface FileHead {
  /** How many bytes at its beginning were looked at, as it lies there, and their digest. */
  readonly bytes: number;
  readonly digest: string;
}

/** Nothing was looked at: every file begins so. */
export const emptyHead: FileHead = headOf(new Uint8Array());

/** The beginning of the file, as far as it is there. */
export async function readBeginning(file: FileHandle): Promise<Uint8Array> {
  const beginning = Buffer.alloc(headBytes);
  const { bytesRead } = await file.read(beginning, 0, headBytes, 0);
  return beginning.subarray(0, bytesRead);
}

export function headOf(beginning: Uint8Array): FileHead {
  return { bytes: beginning.length, digest: digestOf(beginning) };
}

export function beginsWith(beginning: Uint8Array, head: FileHead): boolean {
  return digestOf(beginning.subarray(0, head.bytes)) === head.digest;
}

/** The head of a file that may have grown since; as it was where the file no longer begins so. */
export async function extended(head: FileHead, file: FileHandle): Promise<FileHead> {
  if (head.bytes === headBytes) return head;
  const beginning = await readBeginning(file);
  return beginsWith(beginning, head) ? headOf(beginning) : head;
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url").slice(0, 16);
}
