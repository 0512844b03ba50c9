import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { makeLastingFolder, readWhole, syncFolder } from "../../foundation/durable-file.ts";
import { fileFailure } from "../../foundation/file-failure.ts";
import { type Event, type FlowctlError, openWrittenIds, type WrittenIds } from "../../sdk/index.ts";

/** Recorded before the bytes are written to the file, so that a restart can tell what became of them. */
interface Place {
  /** Where in the file the batch begins, and its length, in bytes. */
  readonly at: number;
  readonly length: number;
  readonly crc: number;
}

export interface OnceFileOptions {
  /** Absolute. Folders are made. One process writes a file. */
  readonly path: string;
  /** Folder of the record of what was written. */
  readonly stateDirectory: string;
  /** How many events are remembered at least. */
  readonly remember: number;
  /** Whether `append` waits for the disk. */
  readonly durable: boolean;
  /** Empties a file that is there, when there is no record of it. */
  readonly replace: boolean;
}

/** What opening found and did. */
export interface Recovery {
  /** Bytes of an unfinished batch that were cut off. */
  readonly cut: number;
  /** Events remembered from before. */
  readonly remembered: number;
}

/**
 * A file to which batches are appended, each event once. After a kill at any moment, opening it again cuts off what an
 * unfinished batch left, and knows the events of the finished ones, so that a replay writes exactly what is missing. Bytes
 * that others appended are never cut off.
 */
export class OnceFile {
  readonly recovery: Recovery;
  readonly #path: string;
  readonly #durable: boolean;
  readonly #file: FileHandle;
  readonly #written: WrittenIds<Place>;

  private constructor(
    { path, durable }: OnceFileOptions,
    file: FileHandle,
    written: WrittenIds<Place>,
    recovery: Recovery,
  ) {
    this.#path = path;
    this.#durable = durable;
    this.#file = file;
    this.#written = written;
    this.recovery = recovery;
  }

  static async open(options: OnceFileOptions): Promise<OnceFile> {
    const { path, stateDirectory, remember, replace } = options;
    const file = await openFor(path);
    try {
      const written = await openWrittenIds<Place>(stateDirectory, { remember, name: recordName(path) });
      const { remembered, doubtful } = written;
      if (doubtful === undefined) await begin(file, replace);
      const { isWhole, cut } = doubtful === undefined ? { isWhole: true, cut: 0 } : await recover(file, doubtful.note);
      await written.settle(isWhole);
      return new OnceFile(options, file, written, { cut, remembered });
    } catch (error) {
      await file.close();
      throw unwritable(path, error);
    }
  }

  /** Those of a batch that are not in the file yet, each once. */
  fresh(events: readonly Event[]): readonly Event[] {
    return this.#written.fresh(events);
  }

  /**
   * Appends the bytes of a batch of fresh events. When it resolves they are on the disk (`durable`) or with the operating
   * system. When it rejects nothing of the batch is in the file, unless the disk refused even to shorten it. Calls must not
   * overlap.
   */
  async append(bytes: Uint8Array, events: readonly Event[]): Promise<void> {
    const at = (await this.#file.stat()).size;
    await this.#written.begin(events, { at, length: bytes.length, crc: crc32(bytes) });
    try {
      await this.#file.appendFile(bytes);
      if (this.#durable) await Promise.all([this.#written.sync(), this.#file.datasync()]);
    } catch (error) {
      const failure = unwritable(this.#path, error);
      await this.#file.truncate(at).catch(() => {
        throw failure;
      });
      await this.#written.undo();
      throw failure;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#written.close(), this.#file.close()]);
  }
}

/** Makes the folders and the file, so that they survive a power cut. */
async function openFor(path: string): Promise<FileHandle> {
  try {
    await makeLastingFolder(dirname(path));
    const file = await open(path, "a+");
    await syncFolder(dirname(path)).catch(async (error: unknown) => {
      await file.close();
      throw error;
    });
    return file;
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): FlowctlError {
  return fileFailure(error, { code: "components/file-unwritable", doing: "write", path });
}

function recordName(path: string): string {
  return `written-${createHash("sha256").update(path).digest("hex").slice(0, 12)}`;
}

/** First use: nothing is known of what is in the file. It keeps its lines, each with its line break. */
async function begin(file: FileHandle, replace: boolean): Promise<void> {
  if (replace) await file.truncate(0);
  const { size } = await file.stat();
  if (size === 0) return;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  if (buffer[0] !== 0x0a) await file.appendFile("\n");
}

/** Whether the last batch that was begun is whole in the file. What is there of one that is not is cut off. */
async function recover(file: FileHandle, last: Place): Promise<{ isWhole: boolean; cut: number }> {
  const { size } = await file.stat();
  const end = last.at + last.length;
  if (size <= last.at) return { isWhole: false, cut: 0 };
  if (size >= end && (await crcOf(file, last)) === last.crc) return { isWhole: true, cut: 0 };
  if (size > end) return { isWhole: false, cut: 0 };
  await file.truncate(last.at);
  return { isWhole: false, cut: size - last.at };
}

async function crcOf(file: FileHandle, place: Place): Promise<number> {
  const bytes = Buffer.alloc(place.length);
  return crc32(bytes.subarray(0, await readWhole(file, bytes, place.at)));
}
