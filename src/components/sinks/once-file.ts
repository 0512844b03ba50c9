import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { IdWindow } from "../id-window.ts";
import { StateLog, syncDirectory } from "../state-log.ts";

/** Written to the journal before the bytes are written to the file, so that a restart can tell what became of them. */
interface Intent {
  /** Where in the file the batch begins, and its length, in bytes. */
  readonly at: number;
  readonly length: number;
  readonly crc: number;
  readonly ids: readonly string[];
}

export interface OnceFileOptions {
  /** Absolute. Folders are made. One process writes a file. */
  readonly path: string;
  /** Folder of the journal. */
  readonly stateDirectory: string;
  /** How many ids are remembered at least. */
  readonly remember: number;
  /** Whether `append` waits for the disk. */
  readonly durable: boolean;
  /** Empties a file that is there, when there is no journal of it. */
  readonly replace: boolean;
}

/** What opening found and did. */
export interface Recovery {
  /** Bytes of an unfinished batch that were cut off. */
  readonly cut: number;
  /** Ids remembered from before. */
  readonly remembered: number;
}

/** Entries of the journal after which a new one is begun although they hold few ids. */
const entryWeight = 1;

/**
 * A file to which batches are appended, each id once. After a kill at any moment, opening it again cuts off what an
 * unfinished batch left, and knows the ids of the finished ones, so that a replay writes exactly what is missing. Bytes
 * that others appended are never cut off.
 */
export class OnceFile {
  readonly recovery: Recovery;
  readonly #options: OnceFileOptions;
  readonly #file: FileHandle;
  readonly #journal: StateLog<Intent>;
  readonly #written: IdWindow;

  private constructor(
    options: OnceFileOptions,
    file: FileHandle,
    journal: StateLog<Intent>,
    written: IdWindow,
    recovery: Recovery,
  ) {
    this.#options = options;
    this.#file = file;
    this.#journal = journal;
    this.#written = written;
    this.recovery = recovery;
  }

  static async open(options: OnceFileOptions): Promise<OnceFile> {
    await mkdir(dirname(options.path), { recursive: true });
    const file = await open(options.path, "a+");
    try {
      await syncDirectory(dirname(options.path));
      const { log, entries } = await StateLog.open<Intent>(journalOptions(options), weigh);
      const last = entries.at(-1);
      const { finished, cut } = last === undefined ? await begin(file, options.replace) : await recover(file, last);
      const written = new IdWindow(options.remember);
      const kept = finished ? entries : entries.slice(0, -1);
      let remembered = 0;
      for (const { ids } of kept) {
        for (const id of ids) written.add(id);
        remembered += ids.length;
      }
      if (!finished) await log.retract();
      return new OnceFile(options, file, log, written, { cut, remembered });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  has(id: string): boolean {
    return this.#written.has(id);
  }

  /**
   * Appends a batch. When it resolves the bytes are on the disk (`durable`) or with the operating system. When it
   * rejects nothing of the batch is in the file, unless the disk refused even to shorten it. Calls must not overlap.
   */
  async append(bytes: Uint8Array, ids: readonly string[]): Promise<void> {
    const at = (await this.#file.stat()).size;
    const remembered = this.#options.remember === 0 ? [] : ids;
    await this.#journal.append({ at, length: bytes.length, crc: crc32(bytes), ids: remembered }, weightOf(remembered));
    try {
      await this.#file.appendFile(bytes);
      if (this.#options.durable) await Promise.all([this.#journal.sync(), this.#file.datasync()]);
    } catch (error) {
      await this.#file.truncate(at);
      await this.#journal.retract();
      throw error;
    }
    for (const id of remembered) this.#written.add(id);
  }

  async close(): Promise<void> {
    await Promise.all([this.#journal.close(), this.#file.close()]);
  }
}

function journalOptions(options: OnceFileOptions): { directory: string; name: string; capacity: number } {
  const digest = createHash("sha256").update(options.path).digest("hex").slice(0, 12);
  return { directory: options.stateDirectory, name: `written-${digest}`, capacity: Math.max(options.remember, 1_000) };
}

function weigh(intent: Intent): number {
  return weightOf(intent.ids);
}

function weightOf(ids: readonly string[]): number {
  return Math.max(ids.length, entryWeight);
}

/** First use: nothing is known of what is in the file. It keeps its lines, each with its line break. */
async function begin(file: FileHandle, replace: boolean): Promise<{ finished: boolean; cut: number }> {
  if (replace) await file.truncate(0);
  const { size } = await file.stat();
  if (size === 0) return { finished: true, cut: 0 };
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  if (buffer[0] !== 0x0a) await file.appendFile("\n");
  return { finished: true, cut: 0 };
}

/** Whether the last batch that was begun is whole in the file. What is there of one that is not is cut off. */
async function recover(file: FileHandle, last: Intent): Promise<{ finished: boolean; cut: number }> {
  const { size } = await file.stat();
  const end = last.at + last.length;
  if (size <= last.at) return { finished: false, cut: 0 };
  if (size >= end && (await crcOf(file, last)) === last.crc) return { finished: true, cut: 0 };
  if (size > end) return { finished: false, cut: 0 };
  await file.truncate(last.at);
  return { finished: false, cut: size - last.at };
}

async function crcOf(file: FileHandle, intent: Intent): Promise<number> {
  const bytes = Buffer.alloc(intent.length);
  const { bytesRead } = await file.read(bytes, 0, intent.length, intent.at);
  return crc32(bytes.subarray(0, bytesRead));
}
