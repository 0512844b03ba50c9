import { dirname, relative, sep } from "node:path";
import type { Clock } from "../../foundation/clock.ts";
import { isWithin } from "../../foundation/is-within.ts";
import { linkedSignal } from "../../foundation/linked-signal.ts";
import { FolderBells } from "./folder-bells.ts";
import { changedFiles, type Root, type Snapshot, Snapshots } from "./snapshot.ts";
import type { Watched } from "./watched.ts";

/** What was edited since it was last told. */
export interface Edit {
  /** Absolute, in order. */
  readonly paths: readonly string[];
  /** Owners of images to be built, and owners to be replaced. */
  readonly build: ReadonlySet<string>;
  readonly recreate: ReadonlySet<string>;
}

/** Content has to be the same for so long, in milliseconds, until it counts as saved. */
const SETTLED = 100;
/** The same while something is missing that was there: editors delete a file and write it anew. */
const GONE = 1_000;
/** Between two looks when nothing has rung, in milliseconds: where the system cannot watch, and where it can. */
const BLIND_LOOK = 1_000;
const LOOK = 10_000;

/** Tells of edits by content: what was saved as it was, or changed back in the meantime, is none. Close it when done. */
export class EditWatch {
  readonly #clock: Clock;
  readonly #bells: FolderBells;
  readonly #snapshots: Snapshots;
  #watched: readonly Watched[] = [];
  /** What was told of last, by `keyOf`. */
  #reported = new Map<string, Snapshot>();
  #rung = false;
  #wake: () => void = () => undefined;

  constructor(clock: Clock, snapshots = new Snapshots()) {
    this.#clock = clock;
    this.#snapshots = snapshots;
    this.#bells = new FolderBells((path) => {
      if (!this.#watched.some(({ root }) => mayConcern(path, root))) return;
      this.#rung = true;
      this.#wake();
    });
  }

  /**
   * Watches these from now on. What was watched before is compared with what was told of it; of what is new a file that was written
   * since `since` (Unix milliseconds) counts as edited, as it may have been read before that.
   */
  async set(watched: readonly Watched[], since: number): Promise<void> {
    const told = new Map<string, Snapshot>();
    for (const one of watched) {
      const key = keyOf(one);
      told.set(key, this.#reported.get(key) ?? (await this.#snapshots.of(one.root, since)));
    }
    this.#watched = watched;
    this.#reported = told;
    this.#listen(told.values());
    // Something may have happened before the bells were hung.
    this.#rung = true;
  }

  /** Resolves with what was edited, once it has settled. Rejects when the signal fires. */
  async next(signal: AbortSignal): Promise<Edit> {
    try {
      return await this.#next(signal);
    } finally {
      // Whatever was not told is found by the next one.
      this.#rung = true;
    }
  }

  async #next(signal: AbortSignal): Promise<Edit> {
    for (;;) {
      await this.#untilRung(signal);
      let seen = await this.#look();
      for (;;) {
        const pause = this.#isSomethingGone(seen) ? GONE : SETTLED;
        await this.#clock.sleep(pause, signal);
        const again = await this.#look();
        const same = [...again].every(
          ([key, { files }]) => changedFiles(seen.get(key)?.files ?? files, files).length === 0,
        );
        seen = again;
        if (same) break;
      }
      this.#listen(seen.values());
      const edit = this.#editOf(seen);
      this.#reported = seen;
      if (edit.paths.length > 0) return edit;
    }
  }

  close(): void {
    this.#bells.close();
  }

  async #untilRung(signal: AbortSignal): Promise<void> {
    if (!this.#rung) {
      const enough = new AbortController();
      const rung = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const either = linkedSignal(signal, enough.signal);
      const late = this.#clock.sleep(this.#bells.blind ? BLIND_LOOK : LOOK, either.signal).catch(() => undefined);
      await Promise.race([rung, late]);
      enough.abort();
      either.release();
    }
    signal.throwIfAborted();
    this.#rung = false;
  }

  async #look(): Promise<Map<string, Snapshot>> {
    const found = new Map<string, Snapshot>();
    for (const one of this.#watched) found.set(keyOf(one), await this.#snapshots.of(one.root));
    return found;
  }

  #isSomethingGone(seen: ReadonlyMap<string, Snapshot>): boolean {
    return [...this.#reported].some(([key, { files }]) =>
      [...files.keys()].some((path) => !seen.get(key)?.files.has(path)),
    );
  }

  #editOf(seen: ReadonlyMap<string, Snapshot>): Edit {
    const paths = new Set<string>();
    const build = new Set<string>();
    const recreate = new Set<string>();
    for (const one of this.#watched) {
      const key = keyOf(one);
      const changed = changedFiles(this.#reported.get(key)?.files ?? new Map(), seen.get(key)?.files ?? new Map());
      for (const path of changed) paths.add(path);
      if (changed.length === 0) continue;
      if (one.effect === "build") build.add(one.owner);
      if (one.effect === "recreate") recreate.add(one.owner);
    }
    return { paths: [...paths].sort(), build, recreate };
  }

  /** A file is watched by the folder that it is in. */
  #listen(snapshots: Iterable<Snapshot>): void {
    const folders = new Set(this.#watched.map(({ root }) => dirname(root.path)));
    for (const snapshot of snapshots) for (const folder of snapshot.folders) folders.add(folder);
    this.#bells.set(folders);
  }
}

/** Whether what happened to a path may have changed what a root holds: it is in it, or holds it. */
function mayConcern(path: string, root: Root): boolean {
  if (isWithin(root.path, path)) return true;
  if (!isWithin(path, root.path)) return false;
  return root.hasExceptions === true || root.ignores?.(relative(root.path, path).split(sep).join("/")) !== true;
}

function keyOf({ root, effect, owner }: Watched): string {
  return `${effect} ${owner} ${root.path}`;
}
