import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isMissing } from "./atomic-file.ts";

/** One complete line of a spool and where it ends there, line end included. */
export interface SpoolLine {
  readonly text: string;
  readonly end: number;
}

const CHUNK_BYTES = 256 * 1024;
/** A longer line is cut into pieces of this size. */
const LONGEST_LINE_BYTES = CHUNK_BYTES;

export interface SpoolReadOptions {
  /** Take what stands after the last line end for a line too: nobody will write more of it. */
  readonly final: boolean;
}

/**
 * The complete lines of a spool from byte `from` on, at most a chunk of about 256 KiB; call again from the last `end`
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
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - from));
    const length = readSync(file, buffer, 0, buffer.length, from);
    const atEnd = from + length >= size;
    return { lines: split(buffer.subarray(0, length), from, options.final && atEnd), size, modifiedAt: mtimeMs };
  } finally {
    closeSync(file);
  }
}

function split(bytes: Buffer, from: number, final: boolean): readonly SpoolLine[] {
  const lines: SpoolLine[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push({ text: textOf(bytes, start, end), end: from + end + 1 });
    start = end + 1;
  }
  const rest = bytes.length - start;
  if (rest > 0 && (final || (start === 0 && rest >= LONGEST_LINE_BYTES))) {
    lines.push({ text: textOf(bytes, start, bytes.length), end: from + bytes.length });
  }
  return lines;
}

function textOf(bytes: Buffer, start: number, end: number): string {
  return bytes.toString("utf8", start, end > start && bytes[end - 1] === 13 ? end - 1 : end);
}
