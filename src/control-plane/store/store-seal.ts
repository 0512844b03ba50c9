import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Level } from "level";
import { syncFolder } from "../../foundation/durable-file.ts";
import { messageOf } from "../../foundation/errors.ts";

/** Key of what says, in the database, who wrote it. */
export const formatKey = "!format";

const fileName = "flowctl-seal.json";

/** What the file beside the database says of it. */
type Seal =
  /** It is in use, or its last user was killed. */
  | { readonly state: "open" }
  /** Nobody has changed it since. */
  | { readonly state: "closed"; readonly digest: string };

/**
 * What is known of a database besides what is in it. LevelDB takes a log that was cut off, or that has other bytes in it,
 * for one whose writer was killed, and goes on with what is left, at worst with nothing. So a file beside it says that
 * there was something, and of a database that was closed in order, what.
 */
export class StoreSeal {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What is wrong with a database that has just been opened; undefined when nothing is, as far as can be told. */
  async broken(database: Level<string, Uint8Array>): Promise<string | undefined> {
    const seal = await this.#read();
    if (seal === undefined) return undefined;
    try {
      if ((await database.get(formatKey)) === undefined) return "its contents are gone";
      const digest = await digestOf(database);
      if (seal.state === "open" || seal.digest === digest) return undefined;
    } catch (error) {
      // A file that is shorter than LevelDB knows it to be; one that this user may not read is another matter, and so is a disk that
      // does not give it now.
      if (!isReadFailure(error) || isOfDevice(error) || !(await this.#isReadable())) throw error;
      return `part of it cannot be read (${messageOf(error)})`;
    }
    return "its contents changed since it was closed";
  }

  async #isReadable(): Promise<boolean> {
    const files = await readdir(this.#folder);
    const refused = await Promise.all(
      files.map((name) =>
        access(join(this.#folder, name), constants.R_OK).then(
          () => false,
          () => true,
        ),
      ),
    );
    return !refused.includes(true);
  }

  /** To be called before the first change. */
  async open(): Promise<void> {
    await this.#write({ state: "open" });
  }

  /** To be called after the last change. What cannot be written then is only not checked the next time. */
  async close(database: Level<string, Uint8Array>): Promise<void> {
    try {
      const format = await database.get(formatKey);
      if (format === undefined) return;
      // What was written before without waiting for the disk is on it after this.
      await database.batch([{ type: "put", key: formatKey, value: format }], { sync: true });
      await this.#write({ state: "closed", digest: await digestOf(database) });
    } catch {
      // A disk that is full or failing: it stays open.
    }
  }

  async #read(): Promise<Seal | undefined> {
    let text: string;
    try {
      text = await readFile(join(this.#folder, fileName), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const seal = JSON.parse(text) as { readonly state?: unknown; readonly digest?: unknown };
      if (seal.state === "closed" && typeof seal.digest === "string") return { state: "closed", digest: seal.digest };
    } catch {
      // It was damaged as well: that there is one still says that something was written.
    }
    return { state: "open" };
  }

  async #write(seal: Seal): Promise<void> {
    const path = join(this.#folder, fileName);
    const file = await open(`${path}.new`, "w", 0o600);
    try {
      await file.writeFile(JSON.stringify(seal));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
    await syncFolder(this.#folder);
  }
}

function isReadFailure(error: unknown): boolean {
  return error instanceof Error && (hasLevelCode(error) || hasLevelCode(error.cause));
}

/** EIO: the device failed, which says nothing of what is on it. LevelDB gives no number, only its text. */
function isOfDevice(error: unknown): boolean {
  return error instanceof Error && (error.message.includes("Input/output error") || isOfDevice(error.cause));
}

function hasLevelCode(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "LEVEL_IO_ERROR";
}

async function digestOf(database: Level<string, Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const [key, value] of database.iterator()) {
    hash.update(`${key.length}:${key}${value.length}:`);
    hash.update(value);
  }
  return hash.digest("hex");
}
