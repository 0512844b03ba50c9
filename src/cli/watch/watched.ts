import { readFile, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { compileDockerignore } from "../../foundation/dockerignore.ts";
import { isWithin } from "../../foundation/is-within.ts";
import { allHostPaths } from "../../pipeline/host-paths.ts";
import type { Component, Pipeline, Service } from "../../pipeline/pipeline.ts";
import type { Root } from "./snapshot.ts";

/** A file or folder that is watched, and what an edit of it is to bring about. */
export interface Watched {
  readonly root: Root;
  /** `read`: what another `up` would do. `build`: build the image of `owner`. `recreate`: replace `owner`. */
  readonly effect: "read" | "build" | "recreate";
  /** Id of the component or service; empty for what is of the whole pipeline. */
  readonly owner: string;
}

/** Temporary files of editors, and what no program is made of. */
const NEVER =
  /(^|\/)(\.git|node_modules|__pycache__)(\/|$)|(^|\/)(#[^/]*#|4913|[^/]*~|\.#[^/]*|\.[^/]*\.sw[a-z]|[^/]*___jb_(tmp|old)___|[^/]*\.pyc)$/;

/** What is to be watched of a pipeline, whose files are `files`. `images`: the driver runs images, not commands. */
export async function watchedOf(
  pipeline: Pipeline,
  files: readonly string[],
  images: boolean,
): Promise<readonly Watched[]> {
  const { components, services, secrets, configs, schemas } = pipeline;
  const values = [...Object.values(secrets), ...Object.values(configs)].flatMap((one) =>
    one.kind === "file" ? [one.path] : [],
  );
  const schemaFiles = Object.values(schemas).map((schema) => schema.split("#")[0] as string);
  const read = new Set([...files, ...values, ...schemaFiles]);
  const ofOwners = images
    ? await Promise.all([...components, ...services].map(buildContextOf))
    : await Promise.all(components.map((component) => sourcesOf(component, pipeline)));
  return [...[...read].map((path): Watched => ({ root: { path }, effect: "read", owner: "" })), ...ofOwners.flat()];
}

async function buildContextOf({ id, build }: Component | Service): Promise<readonly Watched[]> {
  if (build === undefined) return [];
  const dockerfile = build.dockerfile ?? "Dockerfile";
  const rules = await ignoreRules(build.context, [`${dockerfile}.dockerignore`, ".dockerignore"]);
  const always = new Set([dockerfile.replace(/^\.\//, ""), ".dockerignore", `${dockerfile}.dockerignore`]);
  const ignores = (path: string): boolean => NEVER.test(path) || (!always.has(path) && rules.ignores(path));
  return [{ root: { path: build.context, ignores, hasExceptions: rules.hasExceptions }, effect: "build", owner: id }];
}

/**
 * The files that a command names, and the folders of its own that it runs from. The folder of the pipeline is not one: data is
 * there, and every other component.
 */
async function sourcesOf(component: Component, pipeline: Pipeline): Promise<readonly Watched[]> {
  const { id, uses, entrypoint = [], command = [], workingDir } = component;
  if (uses !== undefined) return [];
  const { directory } = pipeline;
  const from = workingDir === undefined ? directory : resolve(directory, workingDir);
  const candidates = [...entrypoint, ...command].filter((word) => word !== "" && !word.startsWith("-"));
  const named: string[] = [];
  for (const word of candidates) {
    const path = isAbsolute(word) ? word : join(from, word);
    const ours = !isAbsolute(word) || isWithin(path, directory) || isWithin(path, from);
    if (ours && (await stat(path).catch(() => undefined))?.isFile() === true) named.push(path);
  }
  const folders = [from, ...named.map(dirname)].filter((folder) => !isWithin(directory, folder));
  const outermost = folders.filter((folder) => !folders.some((other) => other !== folder && isWithin(folder, other)));
  const written = pipeline.components
    .flatMap(allHostPaths)
    .filter(({ access }) => access === "write")
    .map(({ path }) => path);
  const trees = await Promise.all(
    [...new Set(outermost)].map(async (path): Promise<Watched> => {
      const rules = await ignoreRules(path, [".dockerignore"]);
      const ignores = (inner: string): boolean =>
        NEVER.test(inner) || isHidden(inner) || rules.ignores(inner) || isWritten(join(path, inner), written);
      return { root: { path, ignores, hasExceptions: rules.hasExceptions }, effect: "recreate", owner: id };
    }),
  );
  const single = named
    .filter((path) => !outermost.some((folder) => isWithin(path, folder)))
    .map((path): Watched => ({ root: { path }, effect: "recreate", owner: id }));
  return [...trees, ...single];
}

function isHidden(path: string): boolean {
  return path.split("/").some((part) => part.startsWith("."));
}

function isWritten(path: string, written: readonly string[]): boolean {
  return written.some(
    (own) => isWithin(path, own) || (dirname(path) === dirname(own) && basename(path).startsWith(`${basename(own)}.`)),
  );
}

async function ignoreRules(folder: string, names: readonly string[]): Promise<ReturnType<typeof compileDockerignore>> {
  for (const name of names) {
    const text = await readFile(join(folder, name), "utf8").catch(() => undefined);
    if (text !== undefined) return compileDockerignore(text);
  }
  return compileDockerignore("");
}
