import { type FSWatcher, statSync, watch } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Rings whenever something happens in one of a set of folders. Says nothing of what it was: whoever hears it looks. Folders, not
 * files, since an editor that saves by renaming puts another file in place of the one that would be watched.
 */
export class FolderBells {
  readonly #ring: (path: string) => void;
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: number }>();
  #blind = false;

  /** `ring` is given the path that something happened to, or its folder where that is all that is known. */
  constructor(ring: (path: string) => void) {
    this.#ring = ring;
  }

  /** The system has no more watches to give, or cannot watch some folder: it has to be looked at from time to time. */
  get blind(): boolean {
    return this.#blind;
  }

  /** From now on these folders, and no others. Of one that does not exist, the nearest above it that does. */
  set(folders: ReadonlySet<string>): void {
    // One that was deleted and made anew is another folder of the same name.
    for (const [folder, { inode }] of this.#watchers) {
      if (!folders.has(folder) || inodeOf(folder) !== inode) this.#close(folder);
    }
    this.#blind = false;
    for (const folder of folders) this.#add(folder);
  }

  close(): void {
    for (const folder of [...this.#watchers.keys()]) this.#close(folder);
  }

  #add(folder: string): void {
    if (this.#watchers.has(folder)) return;
    const inode = inodeOf(folder);
    if (inode === undefined) {
      if (dirname(folder) !== folder) this.#add(dirname(folder));
      return;
    }
    try {
      const watcher = watch(folder, { persistent: false }, (_what, name) => {
        this.#ring(name === null ? folder : join(folder, name));
      });
      watcher.on("error", () => {
        this.#close(folder);
        this.#ring(folder);
      });
      this.#watchers.set(folder, { watcher, inode });
    } catch {
      this.#blind = true;
    }
  }

  #close(folder: string): void {
    this.#watchers.get(folder)?.watcher.close();
    this.#watchers.delete(folder);
  }
}

function inodeOf(folder: string): number | undefined {
  return statSync(folder, { throwIfNoEntry: false })?.ino;
}
