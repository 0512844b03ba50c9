import { symlinkSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runProgram, runWell } from "../../e2e/run-program.ts";

const repository = resolve(import.meta.dirname, "../../..");

/** A built flowctl. */
export interface Version {
  readonly name: string;
  /** Holds dist/. */
  readonly root: string;
}

/** This one, as it is built in dist/. */
export const here: Version = { name: "here", root: repository };

/** The tag of the release before this commit; undefined when there is none. */
export async function lastRelease(folder: string = repository): Promise<string | undefined> {
  const args = ["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*.*.*"];
  const runs = await Promise.all(["HEAD~1", "HEAD"].map((from) => runProgram("git", [...args, from], { cwd: folder })));
  const [before, own] = runs.map(({ code, stdout }) => (code === 0 ? stdout.trim() : undefined));
  // The first commit of all has none before it.
  return before ?? own;
}

/** What a ref of Git names, as a short commit; undefined when it names nothing. */
export async function commitOf(ref: string, folder: string = repository): Promise<string | undefined> {
  const args = ["rev-parse", "--verify", "--quiet", "--short", `${ref}^{commit}`];
  const { code, stdout } = await runProgram("git", args, { cwd: folder });
  return code === 0 ? stdout.trim() : undefined;
}

/**
 * Builds another version in a temporary folder, calls `work` with it, and removes it. Its packages are those of this repository
 * when both lock the same, else they are installed.
 */
export async function withVersion<T>(ref: string, work: (version: Version) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), "flowctl-bench-against-"));
  try {
    // No worktree of Git's: of one that is killed the repository would keep a note.
    await runWell("sh", ["-c", 'git archive "$1" | tar -x -C "$2"', "sh", ref, root], { cwd: repository });
    const lock = (folder: string): Promise<string> => readFile(join(folder, "package-lock.json"), "utf8");
    if ((await lock(root)) === (await lock(repository))) {
      symlinkSync(join(repository, "node_modules"), join(root, "node_modules"));
    } else {
      console.error(`installing the packages of ${ref}`);
      await runWell("npm", ["ci", "--no-audit", "--no-fund"], { cwd: root, timeoutMs: 600_000 });
    }
    await runWell(process.execPath, ["scripts/build.mjs", "--no-types"], { cwd: root, timeoutMs: 600_000 });
    return await work({ name: ref, root });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
