import { resolveIncludes } from "./include.ts";
import { interpolateNodes } from "./interpolate-nodes.ts";
import { applyResets, mergeFiles } from "./merge-files.ts";
import { decodeSource, readSource } from "./read-source.ts";
import { readYaml } from "./read-yaml.ts";
import type { FileSet, Reading } from "./reading.ts";
import type { SourceFile } from "./source-file.ts";
import type { MapNode } from "./source-node.ts";

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
  if (path !== "-") reading.looked.add(path);
  const file = await open(path, set, reading);
  if (file === undefined) return undefined;
  reading.files.set(file.path, file);
  const root = readYaml(file, reading.problems);
  if (root === undefined) return undefined;
  const interpolated = interpolateNodes(root, (name) => set.env.get(name), reading.problems);
  const inner = { ...set, chain: [...set.chain, file.path] };
  return resolveIncludes(interpolated, inner, reading, (included) => readFiles(included, reading));
}

async function open(path: string, set: FileSet, reading: Reading): Promise<SourceFile | undefined> {
  if (path === "-") {
    const content = reading.stdin ?? "";
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    return decodeSource("<stdin>", set.directory, bytes, reading.problems);
  }
  return readSource(path, set.directory, reading.problems, { mention: set.mention, signal: reading.signal });
}
