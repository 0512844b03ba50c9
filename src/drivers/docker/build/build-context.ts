import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { compileDockerignore, type IgnoreRule } from "../../../foundation/dockerignore.ts";
import { FlowctlError } from "../../../foundation/errors.ts";

export interface ContextOptions {
  /** Path of the Dockerfile in the context: it goes along whatever `.dockerignore` says. */
  readonly dockerfile: string;
  /** Files that are added, by path. */
  readonly extra?: Readonly<Record<string, string>>;
}

/**
 * A folder as the tar stream that a build takes, without what `<Dockerfile>.dockerignore`, or else `.dockerignore`, leaves
 * out. Symbolic links stay links. Fails as a stream when a file cannot be read. Throws `docker/no-context`.
 */
export async function buildContext(folder: string, options: ContextOptions): Promise<NodeJS.ReadableStream> {
  const exists = await lstat(folder).catch(() => undefined);
  if (!exists?.isDirectory()) {
    throw new FlowctlError({
      code: "docker/no-context",
      kind: "not-found",
      message: `the build context ${folder} is not a folder`,
      fix: "fix `build.context`",
    });
  }
  const rules = compileDockerignore(await ignoreText(folder, options.dockerfile));
  const always = new Set([options.dockerfile.split(sep).join("/").replace(/^\.\//, ""), ".dockerignore"]);
  const archive = pack();
  const write = async (): Promise<void> => {
    await addFolder(
      archive,
      folder,
      folder,
      (path) => !always.has(path) && rules.ignores(path),
      rules.hasExceptions,
      always,
    );
    for (const [name, text] of Object.entries(options.extra ?? {})) archive.entry({ name }, text);
    archive.finalize();
  };
  write().catch((error: unknown) => archive.destroy(error as Error));
  return archive as unknown as NodeJS.ReadableStream;
}

async function ignoreText(folder: string, dockerfile: string): Promise<string> {
  for (const name of [`${dockerfile}.dockerignore`, ".dockerignore"]) {
    const text = await readFile(join(folder, name), "utf8").catch(() => undefined);
    if (text !== undefined) return text;
  }
  return "";
}

async function addFolder(
  archive: Pack,
  root: string,
  folder: string,
  ignores: IgnoreRule,
  hasExceptions: boolean,
  always: ReadonlySet<string>,
): Promise<void> {
  const names = (await readdir(folder)).sort();
  for (const name of names) {
    const path = join(folder, name);
    const inside = relative(root, path).split(sep).join("/");
    const ignored = ignores(inside);
    const info = await lstat(path);
    const common = { name: inside, mode: info.mode & 0o7777, mtime: info.mtime, uid: 0, gid: 0 };
    if (info.isDirectory()) {
      if (!ignored) archive.entry({ ...common, name: `${inside}/`, type: "directory" });
      // An exception, or the Dockerfile, may lie below a folder that is left out.
      const wanted = hasExceptions || [...always].some((kept) => kept.startsWith(`${inside}/`));
      if (!ignored || wanted) await addFolder(archive, root, path, ignores, hasExceptions, always);
    } else if (ignored) {
    } else if (info.isSymbolicLink()) {
      archive.entry({ ...common, type: "symlink", linkname: await readlink(path) });
    } else if (info.isFile()) {
      await pipeline(createReadStream(path), archive.entry({ ...common, size: info.size }));
    }
  }
}
