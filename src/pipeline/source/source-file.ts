import type { SourcePosition } from "../../foundation/errors.ts";

/** The text of one file that a pipeline is made from. */
export interface SourceFile {
  /** Absolute path, or `<stdin>`. */
  readonly path: string;
  /** Absolute folder that relative paths written in this file start from. */
  readonly directory: string;
  readonly text: string;
  /** Offset of the first character of each line. */
  readonly lineStarts: readonly number[];
  /** Its bytes are not UTF-8, so that the text has replacement characters in it. */
  readonly garbled?: true;
}

/** A stretch of a source file, in characters from its start; `end` is exclusive. */
export interface Place {
  readonly file: SourceFile;
  readonly start: number;
  readonly end: number;
}

/** Makes a source file of a text. A leading byte order mark is dropped. */
export function sourceFile(path: string, directory: string, text: string): SourceFile {
  const clean = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const lineStarts = [0];
  for (let at = clean.indexOf("\n"); at !== -1; at = clean.indexOf("\n", at + 1)) lineStarts.push(at + 1);
  return { path, directory, text: clean, lineStarts };
}

/** Line and column of a place; its length is cut at the end of its first line. */
export function positionOf(place: Place): SourcePosition {
  const { lineStarts, text } = place.file;
  const start = Math.max(0, Math.min(place.start, text.length));
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] ?? 0) <= start) low = middle;
    else high = middle - 1;
  }
  const lineStart = lineStarts[low] ?? 0;
  const newline = text.indexOf("\n", start);
  const lineEnd = newline === -1 ? text.length : newline;
  const length = Math.max(0, Math.min(place.end, lineEnd) - start);
  return { file: place.file.path, line: low + 1, column: start - lineStart + 1, length };
}

/** The very beginning of a file. */
export function startOf(file: SourceFile): Place {
  return { file, start: 0, end: 0 };
}
