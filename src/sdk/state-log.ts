import { type FileHandle, open, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeLastingFolder, syncFolder } from "../foundation/durable-file.ts";
import type { FlowctlError } from "../foundation/errors.ts";
import { fileFailure } from "../foundation/file-failure.ts";

export interface StateLogOptions {
  /** Folder; made when missing. */
  readonly directory: string;
  /** Names the files: `<name>-<n>.log`. */
  readonly name: string;
  /** Sum of the weights after which a new file is begun and the one before the last is deleted. */
  readonly capacity: number;
}

/**
 * An append-only log of small JSON records that remembers at least the last `capacity` of them (by weight) and at most
 * about twice that: it is kept in two files, and the older one is dropped as a whole. A record that a crash left
 * unfinished is cut off when the log is opened. One user at a time; calls must not overlap.
 */
export class StateLog<Entry> {
  readonly #options: StateLogOptions;
  #number: number;
  #file: FileHandle;
  #size: number;
  #weight: number;
  #previousSize: number;

  private constructor(options: StateLogOptions, number: number, file: FileHandle, tail: Tail<Entry>, weight: number) {
    this.#options = options;
    this.#number = number;
    this.#file = file;
    this.#size = tail.size;
    this.#previousSize = tail.lastStart;
    this.#weight = weight;
  }

  /** Opens or makes the log; `entries` are what it holds, oldest first. */
  static async open<Entry>(
    options: StateLogOptions,
    weigh: (entry: Entry) => number,
  ): Promise<{ log: StateLog<Entry>; entries: readonly Entry[] }> {
    return await StateLog.#open<Entry>(options, weigh).catch((error: unknown) => {
      throw unwritable(options, error);
    });
  }

  static async #open<Entry>(
    options: StateLogOptions,
    weigh: (entry: Entry) => number,
  ): Promise<{ log: StateLog<Entry>; entries: readonly Entry[] }> {
    await makeLastingFolder(options.directory);
    const numbers = await numbersOf(options);
    const entries: Entry[] = [];
    for (const number of numbers.slice(0, -1))
      entries.push(...(await readEntries<Entry>(fileOf(options, number))).entries);
    const last = numbers.at(-1) ?? 1;
    const tail = await readEntries<Entry>(fileOf(options, last));
    entries.push(...tail.entries);
    const file = await open(fileOf(options, last), "a");
    try {
      await file.truncate(tail.size);
      await syncFolder(options.directory);
    } catch (error) {
      await file.close();
      throw error;
    }
    const weight = tail.entries.reduce((sum, entry) => sum + weigh(entry), 0);
    return { log: new StateLog<Entry>(options, last, file, tail, weight), entries };
  }

  /**
   * Hands the record to the operating system: it survives a kill of this process, not a power cut (see `sync`). Nothing of it
   * is there when this rejects.
   */
  async append(entry: Entry, weight: number): Promise<void> {
    if (this.#weight >= this.#options.capacity) {
      await this.#beginNext().catch((error: unknown) => {
        throw unwritable(this.#options, error);
      });
    }
    const line = Buffer.from(`${JSON.stringify(entry)}\n`);
    try {
      await this.#file.appendFile(line);
    } catch (error) {
      // What a full disk took of it would hide every later record.
      await this.#file.truncate(this.#size);
      throw unwritable(this.#options, error);
    }
    this.#previousSize = this.#size;
    this.#size += line.length;
    this.#weight += weight;
  }

  /** Takes the last record back; once, and not a record of the file before (which is a finished one). */
  async retract(): Promise<void> {
    await this.#file.truncate(this.#previousSize);
    this.#size = this.#previousSize;
  }

  /** When it resolves, what was appended survives a power cut. */
  async sync(): Promise<void> {
    await this.#file.datasync().catch((error: unknown) => {
      throw unwritable(this.#options, error);
    });
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #beginNext(): Promise<void> {
    // What `sync` promises counts for what is in the file before, too.
    await this.#file.datasync();
    const next = await open(fileOf(this.#options, this.#number + 1), "a");
    await syncFolder(this.#options.directory).catch(async (error: unknown) => {
      await next.close();
      throw error;
    });
    await this.#file.close();
    await rm(fileOf(this.#options, this.#number - 1), { force: true });
    this.#number += 1;
    this.#file = next;
    this.#size = 0;
    this.#weight = 0;
  }
}

function unwritable({ directory }: StateLogOptions, error: unknown): FlowctlError {
  return fileFailure(error, { code: "sdk/state-unwritable", doing: "write", path: directory });
}

function fileOf(options: StateLogOptions, number: number): string {
  return join(options.directory, `${options.name}-${number}.log`);
}

async function numbersOf(options: StateLogOptions): Promise<number[]> {
  const numbers: number[] = [];
  for (const name of await readdir(options.directory)) {
    if (!name.startsWith(`${options.name}-`) || !name.endsWith(".log")) continue;
    const number = Number(name.slice(options.name.length + 1, -".log".length));
    if (Number.isInteger(number)) numbers.push(number);
  }
  return numbers.sort((a, b) => a - b);
}

interface Tail<Entry> {
  readonly entries: readonly Entry[];
  /** Where the whole records end, and where the last of them begins. */
  readonly size: number;
  readonly lastStart: number;
}

/** The whole records of a file. What a power cut left as something else between them is passed over. */
async function readEntries<Entry>(path: string): Promise<Tail<Entry>> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { entries: [], size: 0, lastStart: 0 };
    throw error;
  }
  const entries: Entry[] = [];
  let size = 0;
  let lastStart = 0;
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    const entry = parse<Entry>(bytes.toString("utf8", start, end));
    if (entry !== undefined) {
      entries.push(entry);
      lastStart = start;
      size = end + 1;
    }
    start = end + 1;
  }
  return { entries, size, lastStart };
}

/** Undefined for a record that a power cut left as something else. */
function parse<Entry>(text: string): Entry | undefined {
  try {
    return JSON.parse(text) as Entry;
  } catch {
    return undefined;
  }
}
