import { access, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { FlowctlError } from "../foundation/errors.ts";
import { fileFailure } from "../foundation/file-failure.ts";
import { makeFolder } from "../foundation/make-folder.ts";

export const COMPONENT_LANGUAGES = ["ts", "python"] as const;
export type ComponentLanguage = (typeof COMPONENT_LANGUAGES)[number];

export interface TemplateRequest {
  /** Absolute folder of all templates. */
  readonly templates: string;
  /** Folder of one, below it. */
  readonly template: string;
  /** Folder of files that several templates share; those of `template` win. */
  readonly shared?: string;
  /** Further files and folders: target below the directory → absolute source. Taken as they are. */
  readonly copies?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where to write, relative to `cwd`. Made when it is missing. */
  readonly directory: string;
  /** Replaces `{{name}}` in the files, besides `{{name}}` itself. */
  readonly values: Readonly<Record<string, string>>;
  readonly force: boolean;
}

export interface WrittenTemplate {
  /** Absolute. */
  readonly directory: string;
  /** As typed: the directory with each file's path in it. */
  readonly files: readonly string[];
}

/**
 * Writes a starter. A leading `_` of a file name stands for a dot. Rejects with `cli/file-exists` (kind conflict),
 * when a file is there already and `force` is not given, and with `cli/cannot-write`; in both cases nothing was written.
 */
export async function writeTemplate(request: TemplateRequest): Promise<WrittenTemplate> {
  const directory = resolve(request.cwd, request.directory);
  const name = projectName(directory);
  const sources = new Map<string, string>();
  for (const folder of [request.shared, request.template]) {
    if (folder === undefined) continue;
    const root = join(request.templates, folder);
    for (const file of await filesBelow(root)) sources.set(targetName(relative(root, file)), file);
  }
  const verbatim = await copiesOf(request.copies ?? {});
  for (const [target, source] of verbatim) sources.set(target, source);
  const targets = [...sources.keys()].sort();
  if (!request.force) await refuseExisting(directory, targets);
  const contents = new Map<string, string>();
  for (const target of targets) {
    const content = await readFile(sources.get(target) as string, "utf8");
    contents.set(join(directory, target), verbatim.has(target) ? content : fill(content, { ...request.values, name }));
  }
  await writeAll(contents);
  return { directory, files: targets.map((target) => join(request.directory, target)) };
}

/** Writes all files, or, where one cannot be written, none: what was there stays as it was. */
async function writeAll(contents: ReadonlyMap<string, string>): Promise<void> {
  const made: string[] = [];
  const waiting = new Map<string, string>();
  let path = "";
  try {
    for (const [target, content] of contents) {
      path = target;
      const folder = await makeFolder(dirname(path));
      if (folder !== undefined) made.push(folder);
      const beside = `${path}.${process.pid}.tmp`;
      made.push(beside);
      await writeFile(beside, content);
      waiting.set(path, beside);
    }
    for (const [target, beside] of waiting) {
      path = target;
      await rename(beside, path);
    }
  } catch (error) {
    for (const one of made.reverse()) await rm(one, { recursive: true, force: true }).catch(() => undefined);
    throw fileFailure(error, { code: "cli/cannot-write", doing: "write", path });
  }
}

async function copiesOf(copies: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, string>> {
  const result = new Map<string, string>();
  for (const [target, source] of Object.entries(copies)) {
    if (!(await stat(source)).isDirectory()) result.set(target, source);
    else for (const file of await filesBelow(source)) result.set(join(target, relative(source, file)), file);
  }
  return result;
}

async function filesBelow(root: string): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** npm leaves dot files such as .gitignore out of packages: templates have them with an underscore. */
function targetName(path: string): string {
  const file = basename(path);
  return file.startsWith("_") ? join(dirname(path), `.${file.slice(1)}`) : path;
}

async function refuseExisting(directory: string, targets: readonly string[]): Promise<void> {
  for (const target of targets) {
    const path = join(directory, target);
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (!there) continue;
    throw new FlowctlError({
      code: "cli/file-exists",
      kind: "conflict",
      message: `${path} already exists`,
      fix: "Choose another folder, or use --force to overwrite",
    });
  }
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (whole, key: string) => values[key] ?? whole);
}

/** A name that is good as pipeline, package and image name, from a folder's name. */
function projectName(directory: string): string {
  const plain = basename(directory)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^[-0-9]+|-+$/g, "");
  return plain === "" ? "pipeline" : plain;
}
