import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, relative, sep } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";

/** A file of the flowctl image. */
export interface ImageFile {
  /** Relative to the image's package folder, with slashes. */
  readonly name: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

/**
 * Reads what of the installed package goes into the image: the programs that containers run and the SDK, the protocol
 * files, and the packages that cannot be bundled, without what is for other platforms. Sorted by name.
 * Throws `docker/package-not-built` when there are no bundles.
 */
export async function readImageFiles(packageRoot: string): Promise<readonly ImageFile[]> {
  const dist = await imageBundles(join(packageRoot, "dist"));
  const vendor = await listFiles(join(packageRoot, "dist", "vendor"));
  const proto = await listFiles(join(packageRoot, "proto"));
  const own = [...dist, ...vendor, ...proto, join(packageRoot, "package.json")];
  const files = new Map(own.map((path) => [slashes(relative(packageRoot, path)), path]));
  files.set("healthcheck.cjs", join(packageRoot, "images", "flowctl", "healthcheck.cjs"));
  for (const folder of await runtimePackages(packageRoot)) {
    const name = slashes(folder.slice(folder.lastIndexOf(`${sep}node_modules${sep}`) + 1));
    for (const path of await listFiles(folder)) {
      const inside = slashes(relative(folder, path));
      if (isNeeded(inside)) files.set(`${name}/${inside}`, path);
    }
  }
  return Promise.all(
    [...files]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(async ([name, path]) => {
        const [content, { mode }] = await Promise.all([readFile(path), stat(path)]);
        return { name, content, executable: (mode & 0o111) !== 0 };
      }),
  );
}

/**
 * The same files give the same hash, wherever and whenever they were installed. What V8 made of them differs from machine to machine,
 * and changes nothing but the time that a program takes to start.
 */
export function hashFiles(files: readonly ImageFile[]): string {
  const hash = createHash("sha256");
  for (const { name, content, executable } of files) {
    if (name.endsWith(".v8")) continue;
    hash.update(`${name}\0${executable}\0${content.byteLength}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}

/** The bundles that the build has listed for the image. */
async function imageBundles(dist: string): Promise<readonly string[]> {
  const list = join(dist, "image.json");
  try {
    const paths = (JSON.parse(await readFile(list, "utf8")) as readonly string[]).map((name) => join(dist, name));
    await Promise.all(paths.map((path) => stat(path)));
    return paths;
  } catch (cause) {
    throw new FlowctlError({
      code: "docker/package-not-built",
      kind: "not-found",
      message: `the flowctl image cannot be built: ${list}, or a file that it names, is missing`,
      fix: "run `npm run build`, or reinstall flowctl",
      cause,
    });
  }
}

/** Folders of the packages that the bundles import at run time, which flowctl is installed with, and of all that they depend on. */
async function runtimePackages(packageRoot: string): Promise<string[]> {
  const externals = Object.keys((await manifest(packageRoot)).dependencies ?? {});
  const folders = new Set<string>();
  const pending = externals.map((name) => ({ name, from: packageRoot }));
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const folder = packageFolder(next.name, next.from);
    if (folder === undefined || folders.has(folder)) continue;
    folders.add(folder);
    const { dependencies = {} } = await manifest(folder);
    for (const name of Object.keys(dependencies)) pending.push({ name, from: folder });
  }
  return [...folders];
}

function packageFolder(name: string, from: string): string | undefined {
  const folders = createRequire(join(from, "package.json")).resolve.paths(name) ?? [];
  return folders.map((folder) => join(folder, name)).find((folder) => existsSync(join(folder, "package.json")));
}

async function manifest(folder: string): Promise<{ readonly dependencies?: Readonly<Record<string, string>> }> {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { dependencies?: Record<string, string> };
}

/** Leaves out sources, type declarations, documents, and native code for other systems. */
function isNeeded(name: string): boolean {
  if (name.startsWith("node_modules/") || name.startsWith("src/") || name.startsWith("deps/")) return false;
  if (name.startsWith("prebuilds/") && !name.startsWith("prebuilds/linux-")) return false;
  return !/\.(md|markdown|ts|cts|mts|map|c|cc|cpp|h|hpp|gyp|gypi|yml)$/i.test(name);
}

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function slashes(path: string): string {
  return path.split(sep).join("/");
}
