import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { findPipelineFiles } from "./load.ts";
import type { Flags } from "./settings.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Settings that a `.env` file may hold, as Compose reads `COMPOSE_FILE` and the like from it. */
const SETTINGS = [
  "FLOWCTL_DRIVER",
  "FLOWCTL_FILE",
  "FLOWCTL_PROJECT_NAME",
  "FLOWCTL_PROFILES",
  "FLOWCTL_LOG_LEVEL",
  "FLOWCTL_PERSISTENCE",
  "FLOWCTL_PROGRESS",
] as const;

/**
 * The environment with the settings below it that a `.env` file makes: the one that was named, else the one in the working
 * directory, else the one beside the pipeline file above it. Paths in `FLOWCTL_FILE` are relative to its folder. What cannot be
 * read or understood in it is reported by whoever reads the pipeline, and passed over here.
 */
export async function withEnvSettings(
  flags: Pick<Flags, "envFile">,
  env: Environment,
  cwd: string,
): Promise<Environment> {
  const named = flags.envFile ?? (env.FLOWCTL_ENV_FILE || undefined);
  const path = resolve(cwd, named ?? ".env");
  let found = await textOf(path);
  let folder = dirname(path);
  if (found === undefined && named === undefined) {
    const [file] = await findPipelineFiles(cwd);
    if (file === undefined) return env;
    folder = dirname(file);
    found = await textOf(join(folder, ".env"));
  }
  if (found === undefined || !/^[ \t]*(export[ \t]+)?FLOWCTL_/m.test(found)) return env;
  const { parseEnvFile } = await import("../pipeline/source/env-file.ts");
  const { variables } = parseEnvFile(found, (name) => env[name]);
  const settings: Record<string, string> = {};
  for (const name of SETTINGS) {
    const value = variables.get(name);
    if (value !== undefined) settings[name] = name === "FLOWCTL_FILE" ? absolute(value, folder) : value;
  }
  return { ...settings, ...env };
}

const absolute = (paths: string, folder: string): string =>
  paths
    .split(":")
    .map((path) => (path === "" ? path : resolve(folder, path)))
    .join(":");

async function textOf(path: string): Promise<string | undefined> {
  return await readFile(path, "utf8").catch(() => undefined);
}
