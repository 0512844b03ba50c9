import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type FileLike, type OpenFile, readWhole, writeWhole } from "../../../foundation/durable-file.ts";

export interface Progress {
  /** Everything before this position is needed no more. */
  readonly released: number;
  /** Everything before this position was on the disk. */
  readonly confirmed: number;
}

const SLOT_BYTES = 64;

/**
 * How far a segment log has come, in positions, which mean the same whatever segments there are. Two slots in one file, each
 * with a CRC-32, are written in turn: what a crash tears is the newer one. Saving waits for no disk: after a power cut it may be
 * an older one.
 *
 * Slot (64 bytes): number of the save (8), released (8), confirmed (8), CRC-32 of these (4), zero.
 */
export class SegmentProgress {
  private readonly file: FileLike;
  private saves: number;
  private saved: Progress | undefined;
  private wanted: Progress | undefined;
  private saving: Promise<void> | undefined;

  private constructor(file: FileLike, saves: number, saved: Progress | undefined) {
    this.file = file;
    this.saves = saves;
    this.saved = saved;
  }

  static async open(folder: string, openFile: OpenFile): Promise<SegmentProgress> {
    const path = join(folder, "progress");
    const file = await openFile(path, "r+").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return openFile(path, "wx+");
      throw error;
    });
    const buffer = Buffer.alloc(2 * SLOT_BYTES);
    await readWhole(file, buffer, 0);
    let newest: ReturnType<typeof decode>;
    for (const at of [0, SLOT_BYTES]) {
      const slot = decode(buffer.subarray(at, at + SLOT_BYTES));
      if (slot !== undefined && slot.saves > (newest?.saves ?? 0)) newest = slot;
    }
    return new SegmentProgress(file, newest?.saves ?? 0, newest?.progress);
  }

  /** What was saved last; undefined when nothing was. */
  get last(): Progress | undefined {
    return this.saved;
  }

  /** Resolves when this or something newer is written. Of what is asked for while a save is under way the newest is written. */
  save(progress: Progress): Promise<void> {
    this.wanted = progress;
    this.saving ??= this.write().finally(() => {
      this.saving = undefined;
    });
    return this.saving;
  }

  async close(): Promise<void> {
    await this.saving?.catch(() => undefined);
    await this.file.close();
  }

  private async write(): Promise<void> {
    while (this.wanted !== undefined) {
      const progress = this.wanted;
      this.wanted = undefined;
      if (progress.released === this.saved?.released && progress.confirmed === this.saved.confirmed) continue;
      const saves = this.saves + 1;
      await writeWhole(this.file, encode(saves, progress), (saves % 2) * SLOT_BYTES);
      this.saves = saves;
      this.saved = progress;
    }
  }
}

function encode(saves: number, { released, confirmed }: Progress): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.writeUIntBE(saves, 2, 6);
  slot.writeUIntBE(released, 10, 6);
  slot.writeUIntBE(confirmed, 18, 6);
  slot.writeUInt32BE(crc32(slot.subarray(0, 24)), 24);
  return slot;
}

function decode(slot: Buffer): { readonly saves: number; readonly progress: Progress } | undefined {
  if (crc32(slot.subarray(0, 24)) !== slot.readUInt32BE(24)) return undefined;
  const saves = slot.readUIntBE(2, 6);
  return { saves, progress: { released: slot.readUIntBE(10, 6), confirmed: slot.readUIntBE(18, 6) } };
}
