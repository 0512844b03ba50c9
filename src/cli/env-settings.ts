import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { findPipelineFiles } from "./find-pipeline-files.ts";

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
 * The environment with the settings below it that a `.env` file makes: the file named with `--env-file`, else that which the
 * pipeline file is interpolated with, beside the first of `files` or, where none is named, beside the one that is found from the working
 * directory up; without a pipeline file, the one in the working directory. Paths in `FLOWCTL_FILE` are relative to its folder. What
 * cannot be understood in it is passed over: whoever reads the pipeline reports it.
 */
export async function withEnvSettings(
  { envFile = undefined, files }: { readonly envFile?: string | undefined; readonly files: readonly string[] },
  env: Environment,
  cwd: string,
): Promise<Environment> {
  const path = resolve(cwd, (envFile ?? env.FLOWCTL_ENV_FILE) || join(await folderOf(files, cwd), ".env"));
  const text = await readFile(path, "utf8").catch(() => "");
  if (!/^[ \t]*(export[ \t]+)?FLOWCTL_/m.test(text)) return env;
  const { parseEnvFile } = await import("../pipeline/source/env-file.ts");
  const { variables } = parseEnvFile(text, (name) => env[name]);
  const settings: Record<string, string> = {};
  for (const name of SETTINGS) {
    const value = variables.get(name);
    if (value !== undefined) settings[name] = name === "FLOWCTL_FILE" ? absolute(value, dirname(path)) : value;
  }
  return { ...settings, ...env };
}

async function folderOf([first]: readonly string[], cwd: string): Promise<string> {
  if (first !== undefined) return first === "-" ? cwd : dirname(resolve(cwd, first));
  const [found] = await findPipelineFiles(cwd);
  return found === undefined ? cwd : dirname(found);
}

const absolute = (paths: string, folder: string): string =>
  paths
    .split(":")
    .map((path) => (path === "" ? path : resolve(folder, path)))
    .join(":");
