import { access } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { ProblemList } from "../problem.ts";
import { parseEnvFile } from "./env-file.ts";
import { readSource } from "./read-source.ts";
import type { Reading } from "./reading.ts";
import type { Place, SourceFile } from "./source-file.ts";

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
    reading.looked.add(path);
    const file = await readOptional(path, envFiles !== undefined, reading, mention);
    if (file === undefined) continue;
    const lookup = (name: string) => env.get(name) ?? variables.get(name);
    for (const [key, value] of readVariables(file, lookup, reading.problems)) variables.set(key, value);
  }
  for (const [key, value] of env) variables.set(key, value);
  return variables;
}

/** The variables of an env file. What is wrong with it is a problem at its place in that file. */
export function readVariables(
  file: SourceFile,
  lookup: (name: string) => string | undefined,
  problems: ProblemList,
): ReadonlyMap<string, string> {
  const { variables, findings } = parseEnvFile(file.text, lookup);
  for (const { offset, length, ...finding } of findings) {
    const severity = finding.code === "pipeline/unset-variable" ? "warning" : "error";
    problems.add({ file, start: offset, end: offset + length }, { ...finding, severity });
  }
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
