import { type FileHandle, open } from "node:fs/promises";
import type { Logger } from "../../../sdk/index.ts";
import { beginsWith, headOf, readBeginning } from "./file-head.ts";
import { fileProblem } from "./file-problem.ts";
import { type FileMark, type FilePosition, isOffset } from "./position.ts";

export interface ResumeOptions {
  readonly path: string;
  /** Offsets are those after decompression, and say nothing of the file's size. */
  readonly gzip: boolean;
  readonly log: Logger;
}

/** Where to go on in a file, and what to know it again by. */
export interface Resumed<Position> {
  readonly position: Position | undefined;
  readonly file: FileMark;
}

/**
 * Goes on at the position if the file at the path is still the one that was read: it begins as that did, and is not shorter than
 * what was read. Another one is read from its start; its version tells its events from those of the file before. Rejects
 * with `components/file-unreadable`.
 */
export async function resume<Position extends FilePosition>(
  position: Position | undefined,
  { path, gzip, log }: ResumeOptions,
): Promise<Resumed<Position>> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const beginning = await readBeginning(file);
    const now = headOf(beginning);
    const before = position === undefined || !("file" in position) ? undefined : position.file;
    const version = before?.version ?? 1;
    if (position === undefined) return { position, file: { ...now, version } };
    const begins = before === undefined || beginsWith(beginning, before);
    const isShorter = !gzip && isOffset(position) && (await file.stat()).size < position.offset;
    if (begins && !isShorter) return { position, file: { ...now, version } };
    const reason = begins ? "it is shorter than the part already read" : "its beginning differs";
    log.warn("the file was replaced: reading it from the start", { path, reason });
    return { position: undefined, file: { ...now, version: version + 1 } };
  } catch (error) {
    throw fileProblem(path, error);
  } finally {
    await file?.close();
  }
}
