import type { FileLike, OpenFile } from "../../../foundation/durable-file.ts";
import { openFile } from "../../../foundation/durable-file.ts";

const SECTOR = 32;

interface Unsynced {
  readonly path: string;
  readonly at: number;
  readonly before: Buffer;
}

/**
 * A disk that does less than it is asked for, as POSIX allows: reads and writes end early, and a power cut loses any part of what
 * was not synced, in any order. The files are real.
 */
export class FlakyDisk {
  /** From 0 to 1, as a property test gives it. */
  private readonly random: () => number;
  private unsynced: Unsynced[] = [];
  private readonly underWay = new Set<Promise<unknown>>();
  /** How often the power was cut. */
  private life = 0;
  /** So many bytes more are written before the disk is full. */
  room = Number.POSITIVE_INFINITY;
  /** Waits that fail from now on. */
  syncsFail = false;
  /** How many waits for the disk there were. */
  syncs = 0;

  constructor(random: () => number) {
    this.random = random;
  }

  readonly openFile: OpenFile = async (path, flags) => this.wrap(path, await openFile(path, flags));

  /** Files that are open are of no use any more, and some of what was not synced is lost. */
  async cutPower(): Promise<void> {
    this.life++;
    const lost = this.unsynced.reverse();
    this.unsynced = [];
    // What is under way may still reach the disk, and no later.
    await Promise.allSettled(this.underWay);
    for (const { path, at, before } of lost) {
      const file = await openFile(path, "r+").catch(() => undefined);
      if (file === undefined) continue;
      for (let start = 0; start < before.length; start += SECTOR) {
        if (this.random() < 0.5) await file.write(before, start, Math.min(SECTOR, before.length - start), at + start);
      }
      await file.close();
    }
  }

  private wrap(path: string, file: FileLike): FileLike {
    const { life } = this;
    const alive = async <T>(work: () => Promise<T>): Promise<T> => {
      if (life !== this.life) throw new Error("the power is cut");
      const working = work();
      this.underWay.add(working);
      const result = await working.finally(() => this.underWay.delete(working));
      if (life !== this.life) throw new Error("the power is cut");
      return result;
    };
    const writeSome = async (pieces: readonly Uint8Array[], position: number): Promise<{ bytesWritten: number }> => {
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
      const size = Math.min(this.some(length), this.room);
      if (size === 0) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      this.room -= size;
      const before = Buffer.alloc(size);
      await file.read(before, 0, size, position);
      if (life !== this.life) throw new Error("the power is cut");
      this.unsynced.push({ path, at: position, before });
      // What is changed before is written as it is now.
      return await file.write(Buffer.concat(pieces), 0, size, position);
    };
    return {
      read: (buffer, offset, length, position) => alive(() => file.read(buffer, offset, this.some(length), position)),
      write: (buffer, offset, length, position) =>
        alive(() => writeSome([buffer.subarray(offset, offset + length)], position)),
      writev: (pieces, position) => alive(() => writeSome(pieces, position)),
      datasync: () =>
        alive(async () => {
          this.syncs++;
          if (this.syncsFail) throw Object.assign(new Error("input/output error"), { code: "EIO" });
          // What is written while the disk works is not on it afterwards.
          const mine = new Set(this.unsynced.filter((each) => each.path === path));
          await file.datasync();
          for (let turns = this.random() * 8; turns > 1; turns--) await new Promise((resolve) => setImmediate(resolve));
          if (life === this.life) this.unsynced = this.unsynced.filter((each) => !mine.has(each));
        }),
      truncate: (length) => alive(() => file.truncate(length)),
      close: () => file.close(),
    };
  }

  private some(length: number): number {
    return length < 2 || this.random() < 0.5 ? length : Math.max(1, Math.floor(length * this.random()));
  }
}
