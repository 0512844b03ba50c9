import { type FileHandle, open } from "node:fs/promises";

/** A file that a program adds to: each look reads only what is new, or all of it where there is another file by now. */
export class GrowingFile {
  readonly #path: string;
  #inode = 0n;
  /** Bytes that have been read, up to the end of the last whole line. */
  #read = 0;
  #lines: string[] = [];

  constructor(path: string) {
    this.#path = path;
  }

  /** All its lines that are not empty, with what there is of one that is just being written; none while the file does not exist. */
  async lines(): Promise<readonly string[]> {
    const file = await open(this.#path).catch(() => undefined);
    if (file === undefined) return [];
    try {
      return await this.#readOn(file);
    } finally {
      await file.close();
    }
  }

  async #readOn(file: FileHandle): Promise<readonly string[]> {
    const { ino, size } = await file.stat({ bigint: true });
    if (ino !== this.#inode || size < this.#read) {
      this.#inode = ino;
      this.#read = 0;
      this.#lines = [];
    }
    const added = Buffer.alloc(Number(size) - this.#read);
    const { bytesRead } = await file.read(added, 0, added.length, this.#read);
    const whole = added.subarray(0, bytesRead).lastIndexOf("\n") + 1;
    this.#lines = [...this.#lines, ...linesOf(added.subarray(0, whole))];
    this.#read += whole;
    return [...this.#lines, ...linesOf(added.subarray(whole, bytesRead))];
  }
}

function linesOf(bytes: Buffer): readonly string[] {
  return bytes
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
}
