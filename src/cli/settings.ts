import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { FlowctlError } from "../foundation/errors.ts";
import type { DriverName } from "../pipeline/pipeline.ts";
import {
  DRIVERS,
  LOG_LEVELS,
  type LogLevel,
  METRICS_ACCESS,
  type MetricsAccess,
  PROGRESS_MODES,
  type ProgressMode,
} from "./choices.ts";
import type { ConfigFile } from "./config-file.ts";

/** What every command goes by, after flags, environment, config file and defaults were laid over each other. */
export interface Settings {
  /** As `--driver` or `FLOWCTL_DRIVER` say, which override the pipeline file. */
  readonly driver: DriverName | undefined;
  /** Which of the two said it. */
  readonly driverFrom: string | undefined;
  /** That of the config file, for pipelines that name none. */
  readonly usualDriver: DriverName | undefined;
  readonly files: readonly string[];
  /** Whether `-f` named them: then they are laid over files that are arguments, which those of the environment are not. */
  readonly filesAreFlags: boolean;
  readonly name: string | undefined;
  readonly envFile: string | undefined;
  /** Path of an access file. */
  readonly access: string | undefined;
  readonly profiles: readonly string[];
  readonly logLevel: LogLevel;
  readonly persistence: boolean;
  /** Everybody speaks in the clear. */
  readonly insecure: boolean;
  /** Who may read `/metrics` of the control plane. */
  readonly metrics: MetricsAccess;
  /** File of an authority that is to sign the pipeline's. */
  readonly authority: string | undefined;
  readonly progress: ProgressMode;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** Flags as commander parsed them; a flag that was not given is undefined. */
export interface Flags {
  readonly driver?: DriverName;
  readonly file?: readonly string[];
  readonly projectName?: string;
  readonly envFile?: string;
  readonly access?: string;
  readonly profile?: readonly string[];
  readonly logLevel?: LogLevel;
  /** Commander sets it to true when `--no-persistence` exists and was not given. */
  readonly persistence?: boolean;
  readonly insecure?: boolean;
  readonly metrics?: MetricsAccess;
  readonly authority?: string;
  readonly progress?: ProgressMode;
  readonly json?: boolean;
  /** `json` stands for `--json`. */
  readonly format?: string;
  readonly quiet?: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Flags beat `FLOWCTL_*`, which beat the config file, which beats defaults. Rejects with `cli/config-file` or
 * `cli/environment` (kind invalid) for a value that does not hold what it must.
 *
 * @param whereFrom where a variable is set, as ` in <file>`, if not in the environment.
 */
export async function readSettings(
  flags: Flags,
  env: Environment,
  whereFrom: (name: string) => string = () => "",
): Promise<Settings> {
  const file = await readConfigFile(env);
  const choice = <T extends string>(name: string, allowed: readonly T[]): T | undefined =>
    chooseEnv(env, name, allowed, whereFrom(name));
  const driverEnv = choice("FLOWCTL_DRIVER", DRIVERS);
  const persistence = choice("FLOWCTL_PERSISTENCE", ["leveldb", "memory"]) ?? file.persistence ?? "leveldb";
  return {
    driver: flags.driver ?? driverEnv,
    driverFrom: flags.driver ? "--driver" : driverEnv ? "FLOWCTL_DRIVER" : undefined,
    usualDriver: file.driver,
    files: flags.file?.length ? flags.file : list(env.FLOWCTL_FILE, ":"),
    filesAreFlags: (flags.file?.length ?? 0) > 0,
    name: flags.projectName ?? nonEmpty(env.FLOWCTL_PROJECT_NAME),
    envFile: flags.envFile ?? nonEmpty(env.FLOWCTL_ENV_FILE),
    access: flags.access ?? nonEmpty(env.FLOWCTL_ACCESS),
    profiles: flags.profile?.length ? flags.profile : (nonEmptyList(env.FLOWCTL_PROFILES) ?? file.profiles ?? []),
    logLevel: flags.logLevel ?? choice("FLOWCTL_LOG_LEVEL", LOG_LEVELS) ?? file.log_level ?? "info",
    persistence: flags.persistence !== false && persistence === "leveldb",
    insecure: flags.insecure ?? isTrue(env.FLOWCTL_INSECURE),
    metrics: flags.metrics ?? choice("FLOWCTL_METRICS", METRICS_ACCESS) ?? file.metrics ?? "open",
    authority: flags.authority ?? nonEmpty(env.FLOWCTL_AUTHORITY),
    progress: flags.progress ?? choice("FLOWCTL_PROGRESS", PROGRESS_MODES) ?? file.progress ?? "auto",
    json: flags.json ?? (flags.format === undefined ? isTrue(env.FLOWCTL_JSON) : flags.format === "json"),
    quiet: flags.quiet ?? (env.FLOWCTL_QUIET === undefined ? (file.quiet ?? false) : isTrue(env.FLOWCTL_QUIET)),
  };
}

/** The config file: `FLOWCTL_CONFIG_FILE`, else `flowctl/config.yaml` in `XDG_CONFIG_HOME` or `~/.config`. */
export function configFilePath(env: Environment): string {
  const base = nonEmpty(env.XDG_CONFIG_HOME) ?? join(nonEmpty(env.HOME) ?? homedir(), ".config");
  return nonEmpty(env.FLOWCTL_CONFIG_FILE) ?? join(base, "flowctl", "config.yaml");
}

async function readConfigFile(env: Environment): Promise<ConfigFile> {
  const path = configFilePath(env);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" && !nonEmpty(env.FLOWCTL_CONFIG_FILE)) return {};
    throw FlowctlError.wrap(error, {
      code: "cli/config-file",
      kind: "invalid",
      message: `Cannot read ${path}`,
      fix: "Make the file readable, or set FLOWCTL_CONFIG_FILE to another one",
    });
  }
  // Most people have none: what reads and checks it is loaded only then.
  const { parseConfigFile } = await import("./config-file.ts");
  return parseConfigFile(text, path);
}

function chooseEnv<T extends string>(
  env: Environment,
  name: string,
  allowed: readonly T[],
  place: string,
): T | undefined {
  const value = nonEmpty(env[name]);
  if (value === undefined) return undefined;
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new FlowctlError({
    code: "cli/environment",
    kind: "invalid",
    message: `${name}${place} is ${JSON.stringify(value)}`,
    fix: `Set it to ${allowed.join(", ")}, or ${place === "" ? "unset" : "remove"} it`,
  });
}

const nonEmpty = (value: string | undefined): string | undefined => (value === "" ? undefined : value);
const isTrue = (value: string | undefined): boolean => value !== undefined && /^(1|true|yes|on)$/i.test(value);

function list(value: string | undefined, separator: string): readonly string[] {
  return value === undefined ? [] : value.split(separator).filter((part) => part !== "");
}

function nonEmptyList(value: string | undefined): readonly string[] | undefined {
  const parts = list(value, ",");
  return parts.length === 0 ? undefined : parts;
}
