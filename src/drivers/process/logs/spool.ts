import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isMissing } from "../home/atomic-file.ts";

/** One complete line of a spool and where it ends there, line end included. */
export interface SpoolLine {
  readonly text: string;
  readonly end: number;
}

const CHUNK_BYTES = 256 * 1024;
/** A longer line is cut into pieces of this size. */
const LONGEST_LINE_BYTES = 4 * 1024 * 1024;

export interface SpoolReadOptions {
  /** Take what stands after the last line end for a line too: nobody will write more of it. */
  readonly final: boolean;
}

/**
 * The complete lines of a spool from byte `from` on, some 256 KiB of them, but at least one where there is one; call again from the last `end`
 * until it gives none. Synchronous. `size` is that of the spool; less than `from` when it was emptied since.
 */
export function readSpool(
  path: string,
  from: number,
  options: SpoolReadOptions,
): { readonly lines: readonly SpoolLine[]; readonly size: number; readonly modifiedAt: number } {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (isMissing(error)) return { lines: [], size: 0, modifiedAt: 0 };
    throw error;
  }
  try {
    const { size, mtimeMs } = fstatSync(file);
    if (size <= from) return { lines: [], size, modifiedAt: mtimeMs };
    let lines: readonly SpoolLine[] = [];
    for (let length = CHUNK_BYTES; lines.length === 0; length *= 4) {
      const bytes = read(file, from, Math.min(length, size - from));
      const atEnd = from + bytes.length >= size;
      lines = split(bytes, from, (options.final && atEnd) || bytes.length >= LONGEST_LINE_BYTES);
      if (atEnd) break;
    }
    return { lines, size, modifiedAt: mtimeMs };
  } finally {
    closeSync(file);
  }
}

function read(file: number, from: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  return buffer.subarray(0, readSync(file, buffer, 0, length, from));
}

/** With `rest`, what follows the last line end is a line too, if there is no other. */
function split(bytes: Buffer, from: number, rest: boolean): readonly SpoolLine[] {
  const lines: SpoolLine[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push({ text: textOf(bytes, start, end), end: from + end + 1 });
    start = end + 1;
  }
  if (rest && lines.length === 0 && bytes.length > 0) {
    lines.push({ text: textOf(bytes, 0, bytes.length), end: from + bytes.length });
  }
  return lines;
}

function textOf(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("utf8", start, end > start && bytes[end - 1] === 13 ? end - 1 : end);
}
