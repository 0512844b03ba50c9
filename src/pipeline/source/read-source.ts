import { constants, openSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { Socket } from "node:net";
import { addAbortSignal } from "node:stream";
import type { ProblemList } from "../problem.ts";
import type { Place, SourceFile } from "./source-file.ts";
import { sourceFile, startOf } from "./source-file.ts";

/** A pipeline file is written by hand: what is larger than this, in bytes, is not one. */
const maximumBytes = 1024 * 1024;

/**
 * Reads a file as UTF-8. What keeps it from being read is a problem at `mention` (where the file is named), or at
 * the start of the file itself. Rejects only when aborted.
 */
export async function readSource(
  path: string,
  directory: string,
  problems: ProblemList,
  options: { readonly mention?: Place | undefined; readonly signal?: AbortSignal | undefined },
): Promise<SourceFile | undefined> {
  const place = options.mention ?? startOf(sourceFile(path, directory, ""));
  let bytes: Buffer;
  try {
    const facts = await stat(path);
    if (!facts.isFile() && !facts.isFIFO()) {
      problems.add(place, {
        code: "pipeline/file-unreadable",
        message: `${path} is ${facts.isDirectory() ? "a folder" : "not a regular file"}`,
        fix: "Specify a pipeline file.",
      });
      return undefined;
    }
    if (facts.size > maximumBytes) return tooLarge(path, place, problems);
    bytes = facts.isFIFO()
      ? await readFifo(path, options.signal)
      : await readFile(path, options.signal === undefined ? {} : { signal: options.signal });
  } catch (error) {
    options.signal?.throwIfAborted();
    const missing = isSystemError(error, "ENOENT") || isSystemError(error, "ENOTDIR");
    problems.add(place, {
      code: missing ? "pipeline/file-missing" : "pipeline/file-unreadable",
      message: missing ? `${path} does not exist` : `${path} cannot be read (${systemCode(error)})`,
      fix: missing ? "Fix the path, or create the file." : "Make the file readable by the user who runs flowctl.",
    });
    return undefined;
  }
  if (bytes.length > maximumBytes) return tooLarge(path, place, problems);
  return decodeSource(path, directory, bytes, problems);
}

/**
 * Reads a named pipe until its writer closes it, at most a little more than a pipeline file can have. An ordinary open
 * would wait for a writer where no signal reaches it, and keep the process from ending.
 */
async function readFifo(path: string, signal: AbortSignal | undefined): Promise<Buffer> {
  // Without a writer too this returns at once. The socket owns the descriptor, and closes it.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  if (signal !== undefined) addAbortSignal(signal, socket);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maximumBytes) break;
  }
  return Buffer.concat(chunks);
}

/** Makes a source file of bytes. Bytes that are not UTF-8 are a problem at the first of them, and make it garbled. */
export function decodeSource(path: string, directory: string, bytes: Uint8Array, problems: ProblemList): SourceFile {
  const file = sourceFile(path, directory, new TextDecoder("utf-8").decode(bytes));
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return file;
  } catch {
    const at = Math.max(0, file.text.indexOf("\ufffd"));
    problems.add(
      { file, start: at, end: at + 1 },
      {
        code: "pipeline/not-utf8",
        message: "The file is not UTF-8 text",
        fix: "Save it with UTF-8 encoding.",
      },
    );
    return { ...file, garbled: true };
  }
}

function tooLarge(path: string, place: Place, problems: ProblemList): undefined {
  problems.add(place, {
    code: "pipeline/file-too-large",
    message: `${path} exceeds the maximum size of a pipeline file, ${maximumBytes} bytes`,
    fix: "Specify a pipeline file, or split it with `include`.",
  });
  return undefined;
}

function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

function isSystemError(error: unknown, code: string): boolean {
  return systemCode(error) === code;
}
