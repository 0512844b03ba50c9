import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { FlowctlError } from "../foundation/errors.ts";
import type { DriverName } from "../pipeline/pipeline.ts";

/** What every command goes by, after flags, environment, config file and defaults were laid over each other. */
export interface Settings {
  readonly driver: DriverName | undefined;
  /** Where the driver was said: `--driver`, `FLOWCTL_DRIVER` or the config file's path. */
  readonly driverFrom: string | undefined;
  readonly files: readonly string[];
  readonly name: string | undefined;
  readonly envFile: string | undefined;
  readonly profiles: readonly string[];
  readonly logLevel: LogLevel;
  readonly persistence: boolean;
  readonly progress: ProgressMode;
  readonly json: boolean;
  readonly quiet: boolean;
}

export type LogLevel = "debug" | "info" | "warn" | "error";
export type ProgressMode = "auto" | "tty" | "plain" | "json" | "quiet";

export const DRIVERS = ["docker", "process", "kubernetes"] as const;
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export const PROGRESS_MODES = ["auto", "tty", "plain", "json", "quiet"] as const;

/** Flags as commander parsed them; a flag that was not given is undefined. */
export interface Flags {
  readonly driver?: DriverName;
  readonly file?: readonly string[];
  readonly projectName?: string;
  readonly envFile?: string;
  readonly profile?: readonly string[];
  readonly logLevel?: LogLevel;
  /** Commander sets it to true when `--no-persistence` exists and was not given. */
  readonly persistence?: boolean;
  readonly progress?: ProgressMode;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const configFile = z.strictObject({
  driver: z.enum(DRIVERS).optional(),
  profiles: z.array(z.string()).optional(),
  log_level: z.enum(LOG_LEVELS).optional(),
  persistence: z.enum(["leveldb", "memory"]).optional(),
  progress: z.enum(PROGRESS_MODES).optional(),
  quiet: z.boolean().optional(),
});

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Flags beat `FLOWCTL_*`, which beat the config file, which beats defaults. Rejects with `cli/config-file` or
 * `cli/environment` (kind invalid) for a value that does not hold what it must.
 */
export async function readSettings(flags: Flags, env: Environment): Promise<Settings> {
  const { values: file, path } = await readConfigFile(env);
  const choice = <T extends string>(name: string, allowed: readonly T[]): T | undefined =>
    chooseEnv(env, name, allowed);
  const driverEnv = choice("FLOWCTL_DRIVER", DRIVERS);
  const persistence = choice("FLOWCTL_PERSISTENCE", ["leveldb", "memory"]) ?? file.persistence ?? "leveldb";
  return {
    driver: flags.driver ?? driverEnv ?? file.driver,
    driverFrom: flags.driver ? "--driver" : driverEnv ? "FLOWCTL_DRIVER" : file.driver ? path : undefined,
    files: flags.file?.length ? flags.file : list(env.FLOWCTL_FILE, ":"),
    name: flags.projectName ?? nonEmpty(env.FLOWCTL_PROJECT_NAME),
    envFile: flags.envFile ?? nonEmpty(env.FLOWCTL_ENV_FILE),
    profiles: flags.profile?.length ? flags.profile : (nonEmptyList(env.FLOWCTL_PROFILES) ?? file.profiles ?? []),
    logLevel: flags.logLevel ?? choice("FLOWCTL_LOG_LEVEL", LOG_LEVELS) ?? file.log_level ?? "info",
    persistence: flags.persistence !== false && persistence === "leveldb",
    progress: flags.progress ?? choice("FLOWCTL_PROGRESS", PROGRESS_MODES) ?? file.progress ?? "auto",
    json: flags.json ?? isTrue(env.FLOWCTL_JSON),
    quiet: flags.quiet ?? (env.FLOWCTL_QUIET === undefined ? (file.quiet ?? false) : isTrue(env.FLOWCTL_QUIET)),
  };
}

/** The config file: `FLOWCTL_CONFIG_FILE`, else `flowctl/config.yaml` in `XDG_CONFIG_HOME` or `~/.config`. */
export function configFilePath(env: Environment): string {
  const base = nonEmpty(env.XDG_CONFIG_HOME) ?? join(nonEmpty(env.HOME) ?? homedir(), ".config");
  return nonEmpty(env.FLOWCTL_CONFIG_FILE) ?? join(base, "flowctl", "config.yaml");
}

async function readConfigFile(
  env: Environment,
): Promise<{ readonly values: z.infer<typeof configFile>; readonly path: string }> {
  const path = configFilePath(env);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT" && !nonEmpty(env.FLOWCTL_CONFIG_FILE)) {
      return { values: {}, path };
    }
    throw FlowctlError.wrap(error, { code: "cli/config-file", kind: "invalid", message: `Cannot read ${path}` });
  }
  let document: unknown;
  try {
    document = parse(text) ?? {};
  } catch (error) {
    throw FlowctlError.wrap(error, { code: "cli/config-file", kind: "invalid", message: `${path} is not YAML` });
  }
  const checked = configFile.safeParse(document);
  if (checked.success) return { values: checked.data, path };
  const issue = checked.error.issues[0];
  const at = issue?.path.join(".") ?? "";
  throw new FlowctlError({
    code: "cli/config-file",
    kind: "invalid",
    message: `${path}: ${issue?.message ?? "not valid"}`,
    fix: `The keys are ${Object.keys(configFile.shape).join(", ")}`,
    ...(at === "" ? {} : { path: at }),
  });
}

function chooseEnv<T extends string>(env: Environment, name: string, allowed: readonly T[]): T | undefined {
  const value = nonEmpty(env[name]);
  if (value === undefined) return undefined;
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new FlowctlError({
    code: "cli/environment",
    kind: "invalid",
    message: `${name} is ${JSON.stringify(value)}`,
    fix: `Set it to ${allowed.join(", ")}, or unset it`,
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
