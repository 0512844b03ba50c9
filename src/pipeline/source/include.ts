import { dirname, resolve } from "node:path";
import type { ProblemList } from "../problem.ts";
import { readEnvironment } from "./read-environment.ts";
import type { FileSet, Reading } from "./reading.ts";
import type { MapEntry, MapNode, SourceNode } from "./source-node.ts";
import { toPlain } from "./source-node.ts";

type ReadFiles = (set: FileSet) => Promise<MapNode | undefined>;

/** The sections that an included file brings along. Its `name` and `driver` do not count, as in Compose. */
const sections = [
  "sources",
  "processors",
  "sinks",
  "services",
  "secrets",
  "configs",
  "volumes",
  "networks",
  "schemas",
] as const;

/**
 * Replaces `include` by what the included files declare. Each is read in its own folder with its own `.env`; what it
 * declares and the including file declares differently is a problem, since neither is meant to win.
 */
export async function resolveIncludes(
  root: MapNode,
  set: FileSet,
  reading: Reading,
  readFiles: ReadFiles,
): Promise<MapNode | undefined> {
  const include = root.entries.get("include");
  if (include === undefined) return root;
  const entries = new Map(root.entries);
  entries.delete("include");
  let result: MapNode = { ...root, entries };
  let broken = false;
  for (const item of itemsOf(include.value, reading.problems)) {
    const included = await readInclude(item, set, reading, readFiles);
    if (included === undefined) broken = true;
    else result = importSections(result, included, reading.problems);
  }
  return broken ? undefined : result;
}

function itemsOf(node: SourceNode, problems: ProblemList): readonly SourceNode[] {
  if (node.kind === "list") return node.items;
  if (node.kind === "scalar" && node.value === null) return [];
  problems.add(node.place, {
    code: "pipeline/wrong-type",
    message: "`include` must be a list of files",
    fix: "Write `include: [other.yaml]`.",
    path: ["include"],
  });
  return [];
}

async function readInclude(
  item: SourceNode,
  set: FileSet,
  reading: Reading,
  readFiles: ReadFiles,
): Promise<MapNode | undefined> {
  const { problems } = reading;
  const wanted = wantedFiles(item, problems);
  if (wanted === undefined) return undefined;
  const paths = wanted.paths.map((path) => resolve(set.directory, path));
  const repeated = paths.find((path) => set.chain.includes(path));
  if (repeated !== undefined) {
    problems.add(item.place, {
      code: "pipeline/include-cycle",
      message: `${repeated} includes itself: ${[...set.chain.slice(set.chain.indexOf(repeated)), repeated].join(" → ")}`,
      fix: "Remove one of these includes.",
      path: ["include"],
    });
    return undefined;
  }
  if (set.chain.length > 32 || reading.files.size > 256) {
    problems.add(item.place, {
      code: "pipeline/include-cycle",
      message: "Too many included files",
      fix: "Include fewer files, each only once.",
      path: ["include"],
    });
    return undefined;
  }
  const directory =
    wanted.projectDirectory === undefined
      ? dirname(paths[0] ?? set.directory)
      : resolve(set.directory, wanted.projectDirectory);
  const envFiles = wanted.envFiles?.map((path) => resolve(set.directory, path));
  const env = await readEnvironment(set.env, directory, envFiles, reading, item.place);
  return readFiles({ paths, directory, env, mention: item.place, chain: set.chain });
}

interface Wanted {
  readonly paths: readonly string[];
  readonly projectDirectory?: string | undefined;
  readonly envFiles?: readonly string[] | undefined;
}

function wantedFiles(item: SourceNode, problems: ProblemList): Wanted | undefined {
  const short = strings(item);
  if (short !== undefined && item.kind === "scalar") return { paths: short };
  if (item.kind === "map") {
    const path = item.entries.get("path")?.value;
    const paths = path === undefined ? undefined : strings(path);
    const unknown = [...item.entries.values()].find(
      (entry) => !["path", "project_directory", "env_file"].includes(entry.key) && !entry.key.startsWith("x-"),
    );
    if (unknown !== undefined) {
      problems.add(unknown.keyPlace, {
        code: "pipeline/unknown-key",
        message: `Unknown key \`${unknown.key}\` in \`include\``,
        fix: "Use `path`, `project_directory` or `env_file`.",
        path: ["include"],
      });
    }
    const folder = item.entries.get("project_directory")?.value;
    const envFile = item.entries.get("env_file")?.value;
    if (paths !== undefined && paths.length > 0) {
      return {
        paths,
        projectDirectory: folder === undefined ? undefined : strings(folder)?.[0],
        envFiles: envFile === undefined ? undefined : strings(envFile),
      };
    }
  }
  problems.add(item.place, {
    code: "pipeline/wrong-type",
    message: "An include must be a path, or a mapping with `path`",
    fix: "Write `include: [other.yaml]`, or `include: [{ path: other.yaml }]`.",
    path: ["include"],
  });
  return undefined;
}

function strings(node: SourceNode): readonly string[] | undefined {
  if (node.kind === "scalar") return typeof node.value === "string" && node.value !== "" ? [node.value] : undefined;
  if (node.kind === "map") return undefined;
  const items = node.items.map((item) => (item.kind === "scalar" ? item.value : undefined));
  return items.every((item): item is string => typeof item === "string" && item !== "") ? items : undefined;
}

function importSections(root: MapNode, included: MapNode, problems: ProblemList): MapNode {
  const entries = new Map<string, MapEntry>(root.entries);
  for (const section of sections) {
    const theirs = included.entries.get(section);
    if (theirs === undefined || theirs.value.kind !== "map") {
      if (theirs !== undefined && !entries.has(section)) entries.set(section, theirs);
      continue;
    }
    const ours = entries.get(section);
    if (ours === undefined || ours.value.kind !== "map") {
      if (ours === undefined || isNull(ours.value)) entries.set(section, theirs);
      continue;
    }
    const joined = new Map(ours.value.entries);
    for (const [key, entry] of theirs.value.entries) {
      const own = joined.get(key);
      if (own === undefined) joined.set(key, entry);
      else if (JSON.stringify(toPlain(own.value)) !== JSON.stringify(toPlain(entry.value))) {
        problems.add(own.keyPlace, {
          code: "pipeline/include-conflict",
          message: `\`${section}.${key}\` conflicts with its declaration in the included file ${entry.keyPlace.file.path}`,
          fix: "Rename one of the two, or override the included one with another `-f` file.",
          path: [section, key],
        });
      }
    }
    entries.set(section, { ...ours, value: { ...ours.value, entries: joined } });
  }
  for (const [key, entry] of included.entries) {
    const known = key.startsWith("x-") || key === "name" || key === "driver" || sections.some((name) => name === key);
    if (!known && !entries.has(key)) entries.set(key, entry);
  }
  return { ...root, entries };
}

function isNull(node: SourceNode): boolean {
  return node.kind === "scalar" && node.value === null;
}
