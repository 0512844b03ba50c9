import { execFile } from "node:child_process";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system in memory, of its own, that can be filled: writes on it then fail as on a full disk. */
export class SmallDisk implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Mounts it over a folder, which is made. Rejects where that is not allowed: it takes root. */
  static async over(folder: string, megabytes: number): Promise<SmallDisk> {
    await mkdir(folder, { recursive: true });
    await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0777`, "flowctl-chaos", folder]);
    return new SmallDisk(folder);
  }

  /** Fills it for so long, and sees that it is full. */
  async fill(ms: number): Promise<void> {
    await this.whileFull(() => new Promise((wake) => setTimeout(wake, ms)));
  }

  /** Fills it, and makes room again once something is done. */
  async whileFull<T>(work: () => Promise<T>): Promise<T> {
    const filler = join(this.#folder, ".filler");
    try {
      await fill(filler);
      return await work();
    } finally {
      await rm(filler, { force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: what was left running may still hold it, and is reported by whoever looks for it.
    await run("umount", ["-l", this.#folder]);
  }
}

/** Writes until the file system refuses the last byte. */
async function fill(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (let size = 1 << 20; size >= 1; ) {
      try {
        const { bytesWritten } = await file.write(Buffer.alloc(size));
        if (bytesWritten < size) size = Math.max(1, size >> 1);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        if (size === 1) return;
        size >>= 1;
      }
    }
  } finally {
    await file.close();
  }
}
