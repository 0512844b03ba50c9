import { readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Where the queues on disk of one group lie. The first is in `<id>`, one that is begun before an older one is empty in
 * `<id>.2`, and so on: ids have no dots.
 */
export class DiskFolders {
  private readonly parent: string;
  private readonly id: string;
  private last = 0;

  /** @param parent Folder of all queues of the component. */
  constructor(parent: string, id: string) {
    this.parent = parent;
    this.id = id;
  }

  /** The folders that earlier runs left, oldest first. */
  found(): string[] {
    const numbers = namesIn(this.parent)
      .map((name) => this.numberOf(name))
      .filter((number) => number !== undefined)
      .sort((a, b) => a - b);
    this.last = numbers.at(-1) ?? 0;
    return numbers.map((number) => this.at(number));
  }

  /** A folder that is newer than all others. */
  next(): string {
    this.last++;
    return this.at(this.last);
  }

  private at(number: number): string {
    return join(this.parent, number === 1 ? this.id : `${this.id}.${number}`);
  }

  private numberOf(name: string): number | undefined {
    if (name === this.id) return 1;
    const number = name.startsWith(`${this.id}.`) ? Number(name.slice(this.id.length + 1)) : Number.NaN;
    return Number.isSafeInteger(number) && number > 1 ? number : undefined;
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Not there, as long as there never was a queue on disk. Whatever else is wrong with it shows when one is opened.
    return [];
  }
}
