import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";

/** A file or folder that is watched, with everything in it. */
export interface Root {
  /** Absolute. */
  readonly path: string;
  /** Says of a path in the folder, relative and with slashes, whether it is left out. */
  readonly ignores?: (path: string) => boolean;
  /** Something that is left out may hold something that is not. */
  readonly hasExceptions?: boolean;
}

/** What was found at one moment. */
export interface Snapshot {
  /** Absolute path → digest of the content. */
  readonly files: ReadonlyMap<string, string>;
  /** Folders in which something that matters may come into being. */
  readonly folders: ReadonlySet<string>;
}

interface Known {
  readonly stamp: string;
  readonly digest: string;
}

/** No file system here tells times apart less finely than by so many milliseconds. */
const TICK = 50;

/** Looks at files by content. Reads again only what may have changed. */
export class Snapshots {
  readonly #known = new Map<string, Known>();
  readonly #read: (path: string) => Promise<Buffer>;

  /** `read`: reads a whole file; for tests. */
  constructor(read: (path: string) => Promise<Buffer> = (path) => readFile(path)) {
    this.#read = read;
  }

  /** What `root` is now. What cannot be read counts as not there. `touchedSince`: files that were written after it get a digest of no content. */
  async of(root: Root, touchedSince = Number.POSITIVE_INFINITY): Promise<Snapshot> {
    const files = new Map<string, string>();
    const folders = new Set<string>();
    await this.#add(root, root.path, files, folders, touchedSince);
    return { files, folders };
  }

  async #add(
    root: Root,
    path: string,
    files: Map<string, string>,
    folders: Set<string>,
    touchedSince: number,
  ): Promise<void> {
    const info = await stat(path).catch(() => undefined);
    if (info?.isDirectory() === true) {
      folders.add(path);
      const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
      for (const entry of entries) {
        const inner = join(path, entry.name);
        const ignored = root.ignores?.(relative(root.path, inner).split(sep).join("/")) ?? false;
        if (ignored && !(entry.isDirectory() && root.hasExceptions === true)) continue;
        // A link to a folder is no folder of this one.
        if (entry.isSymbolicLink()) files.set(inner, await this.#ofLink(inner, touchedSince));
        else if (entry.isDirectory() || entry.isFile()) await this.#add(root, inner, files, folders, touchedSince);
      }
    } else if (info?.isFile() === true) {
      const digest = await this.#digest(path, info);
      if (digest !== undefined) files.set(path, (await isTouched(path, touchedSince)) ? "" : digest);
    }
  }

  async #ofLink(path: string, touchedSince: number): Promise<string> {
    const info = await stat(path).catch(() => undefined);
    const content = info?.isFile() === true ? await this.#digest(path, info) : undefined;
    if (await isTouched(path, touchedSince)) return "";
    return `${await readlink(path).catch(() => "")} ${content ?? ""}`;
  }

  async #digest(path: string, info: Stats): Promise<string | undefined> {
    const stamp = [info.ino, info.size, info.mtimeMs, info.ctimeMs].join(" ");
    const known = this.#known.get(path);
    if (known?.stamp === stamp) return known.digest;
    const content = await this.#read(path).catch(() => undefined);
    if (content === undefined) return undefined;
    const digest = `${createHash("sha256").update(content).digest("hex")} ${info.mode & 0o111}`;
    // What is written again within the same tick of the file system's clock looks the same.
    if (Date.now() - info.ctimeMs > TICK) this.#known.set(path, { stamp, digest });
    return digest;
  }
}

/**
 * Whether a file, or a link or what it leads to, was written since then. To be asked after it was read: what is saved meanwhile may have
 * been read, and still nobody has heard of it.
 */
async function isTouched(path: string, since: number): Promise<boolean> {
  if (since === Number.POSITIVE_INFINITY) return false;
  const found = await Promise.all([lstat(path), stat(path)]).catch(() => undefined);
  return found === undefined || found.some(({ ctimeMs }) => ctimeMs >= since);
}

/** Paths whose content differs, that came or went, in order. */
export function changedFiles(before: Snapshot["files"], now: Snapshot["files"]): readonly string[] {
  const all = new Set([...before.keys(), ...now.keys()]);
  return [...all].filter((path) => before.get(path) !== now.get(path)).sort();
}
