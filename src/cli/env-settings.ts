import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { closest } from "../foundation/did-you-mean.ts";
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
  "FLOWCTL_METRICS",
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
): Promise<EnvSettings> {
  const path = resolve(cwd, (envFile ?? env.FLOWCTL_ENV_FILE) || join(await folderOf(files, cwd), ".env"));
  const text = await readFile(path, "utf8").catch(() => "");
  if (!/^[ \t]*(export[ \t]+)?FLOWCTL_/m.test(text)) return { env, own: new Set(), unknown: [] };
  const { parseEnvFile } = await import("../pipeline/source/env-file.ts");
  const { variables } = parseEnvFile(text, (name) => env[name]);
  const settings: Record<string, string> = {};
  for (const name of SETTINGS) {
    const value = variables.get(name);
    if (value !== undefined) settings[name] = name === "FLOWCTL_FILE" ? absolute(value, dirname(path)) : value;
  }
  const own = new Set(Object.keys(settings).filter((name) => env[name] === undefined));
  const unknown = [...variables.keys()].flatMap((name) => misspelt(name) ?? []);
  return { env: { ...settings, ...env }, path, own, unknown };
}

/** The environment of a command, with what its `.env` file makes of it. */
export interface EnvSettings {
  readonly env: Environment;
  /** The file; left out where it has no settings. */
  readonly path?: string;
  /** Names of the settings that only the file makes. */
  readonly own: ReadonlySet<string>;
  /** Names in the file that are no settings, with those that they were probably meant to be. */
  readonly unknown: readonly Misspelt[];
}

interface Misspelt {
  readonly name: string;
  readonly meant: string;
}

const PREFIX = "FLOWCTL_";

function misspelt(name: string): Misspelt | undefined {
  if (!name.startsWith(PREFIX) || (SETTINGS as readonly string[]).includes(name)) return undefined;
  const word = name.slice(PREFIX.length);
  const words = SETTINGS.map((setting) => setting.slice(PREFIX.length));
  const near = words.find((setting) => word !== "" && setting.startsWith(word)) ?? closest(word, words);
  return near === undefined ? undefined : { name, meant: `${PREFIX}${near}` };
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
