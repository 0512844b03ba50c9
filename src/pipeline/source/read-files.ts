import { access } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { ProblemList } from "../problem.ts";
import { parseEnvFile } from "./env-file.ts";
import { resolveIncludes } from "./include.ts";
import { interpolateNodes } from "./interpolate-nodes.ts";
import { applyResets, mergeFiles } from "./merge-files.ts";
import { decodeSource, readSource } from "./read-source.ts";
import { readYaml } from "./read-yaml.ts";
import type { Place, SourceFile } from "./source-file.ts";
import type { MapNode } from "./source-node.ts";

/** What one load keeps at hand while it reads files. */
export interface Reading {
  readonly problems: ProblemList;
  /** Every file that was read, by path. */
  readonly files: Map<string, SourceFile>;
  readonly signal: AbortSignal | undefined;
  /** The content of the file `-`. */
  readonly stdin: string | Uint8Array | undefined;
}

/** One pipeline, or one included part of one: files laid over each other in one folder with one environment. */
export interface FileSet {
  /** Absolute paths, or `-`. */
  readonly paths: readonly string[];
  readonly directory: string;
  readonly env: ReadonlyMap<string, string>;
  /** Where the files are named, when another file names them. */
  readonly mention?: Place | undefined;
  /** Paths of the files that include this one, outermost first. */
  readonly chain: readonly string[];
}

/** Reads, interpolates and merges the files of a set, includes and all. Undefined when one cannot be trusted. */
export async function readFiles(set: FileSet, reading: Reading): Promise<MapNode | undefined> {
  let merged: MapNode | undefined;
  let broken = false;
  for (const path of set.paths) {
    const root = await readOne(path, set, reading);
    if (root === undefined) broken = true;
    else merged = merged === undefined ? applyResets(root) : mergeFiles(merged, root);
  }
  return broken ? undefined : merged;
}

async function readOne(path: string, set: FileSet, reading: Reading): Promise<MapNode | undefined> {
  const file = await open(path, set, reading);
  if (file === undefined) return undefined;
  reading.files.set(file.path, file);
  const root = readYaml(file, reading.problems);
  if (root === undefined) return undefined;
  const interpolated = interpolateNodes(root, (name) => set.env.get(name), reading.problems);
  return resolveIncludes(interpolated, { ...set, chain: [...set.chain, file.path] }, reading);
}

async function open(path: string, set: FileSet, reading: Reading): Promise<SourceFile | undefined> {
  if (path === "-") {
    const content = reading.stdin ?? "";
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return decodeSource("<stdin>", set.directory, bytes, reading.problems);
  }
  return readSource(path, set.directory, reading.problems, { mention: set.mention, signal: reading.signal });
}

/**
 * The variables for interpolation: those of `env`, over those of the given `.env` file, or of the one in `directory`
 * where there is one. A file that is named and cannot be read is a problem at `mention`.
 */
export async function readEnvironment(
  env: ReadonlyMap<string, string>,
  directory: string,
  envFiles: readonly string[] | undefined,
  reading: Reading,
  mention?: Place,
): Promise<ReadonlyMap<string, string>> {
  const variables = new Map<string, string>();
  for (const path of envFiles ?? [resolve(directory, ".env")]) {
    const file = await readOptional(path, envFiles !== undefined, reading, mention);
    if (file === undefined) continue;
    for (const [key, value] of parseEnvFile(file.text, (name) => env.get(name) ?? variables.get(name))) {
      variables.set(key, value);
    }
  }
  for (const [key, value] of env) variables.set(key, value);
  return variables;
}

async function readOptional(
  path: string,
  required: boolean,
  reading: Reading,
  mention: Place | undefined,
): Promise<SourceFile | undefined> {
  const directory = dirname(path);
  if (required) return readSource(path, directory, reading.problems, { mention, signal: reading.signal });
  try {
    await access(path);
  } catch {
    return undefined;
  }
  return readSource(path, directory, reading.problems, { mention, signal: reading.signal });
}
