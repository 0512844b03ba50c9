import { readFile } from "node:fs/promises";
import type { Deployment, DeploymentOptions } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { ConfigFile, Pipeline, Secret } from "../pipeline/pipeline.ts";
import { runSecretCommand } from "./secret-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Prints the value of a secret: runs a program of the pipeline file; see `runSecretCommand`. */
export type SecretCommand = typeof runSecretCommand;

export interface ResolveOptions {
  /** Contents of configs that are known, and not read again. */
  readonly configValues?: Deployment["configValues"];
  /** In place of running the programs that print secrets. */
  readonly runCommand?: SecretCommand;
  /** Stops a program that prints a secret. */
  readonly signal: AbortSignal;
}

/**
 * A pipeline with the values of the secrets and configs that something in it is granted. Programs that print a secret run one after
 * the other: they may ask somebody. Rejects with `cli/secret-missing` or `cli/config-missing` (kind invalid) for a value that is not
 * there, and with `cli/secret-command-…` where a program does not give one; `path` says which.
 */
export async function resolveDeployment(
  pipeline: Pipeline,
  env: Environment,
  options: DeploymentOptions,
  given: ResolveOptions,
): Promise<Deployment> {
  const runCommand = given.runCommand ?? runSecretCommand;
  const parts = [...pipeline.components, ...pipeline.services];
  const secretValues = new Map<string, Uint8Array>();
  for (const key of new Set(parts.flatMap(({ secrets }) => secrets.map(({ source }) => source)))) {
    const secret = pipeline.secrets[key];
    if (secret === undefined) continue;
    const { directory } = pipeline;
    const value =
      secret.kind === "command"
        ? await runCommand(key, secret.argv, { directory, env, signal: given.signal })
        : await secretValue(key, secret, env);
    secretValues.set(key, value);
  }
  const configValues = new Map<string, Uint8Array>();
  for (const key of new Set(parts.flatMap(({ configs }) => configs.map(({ source }) => source)))) {
    const config = pipeline.configs[key];
    const known = given.configValues?.get(key);
    if (config !== undefined) configValues.set(key, known ?? (await configValue(key, config, env)));
  }
  return { pipeline, secretValues, configValues, options };
}

async function secretValue(
  key: string,
  secret: Exclude<Secret, { kind: "command" }>,
  env: Environment,
): Promise<Uint8Array> {
  const missing = missingValue("secret", key);
  switch (secret.kind) {
    case "environment":
      return fromEnvironment(secret.variable, env, missing);
    case "file":
      return fromFile(secret.path, missing);
    case "external":
      throw missing(
        `it is external (${secret.name}), and neither Docker nor processes have secrets of their own`,
        "Set `file`, `environment` or `command` in place of `external`",
      );
  }
}

async function configValue(key: string, config: ConfigFile, env: Environment): Promise<Uint8Array> {
  const missing = missingValue("config", key);
  switch (config.kind) {
    case "environment":
      return fromEnvironment(config.variable, env, missing);
    case "file":
      return fromFile(config.path, missing);
    case "content":
      return new TextEncoder().encode(config.content);
  }
}

type Missing = (why: string, fix: string, cause?: unknown) => FlowctlError;

const missingValue =
  (what: "secret" | "config", key: string): Missing =>
  (why, fix, cause) =>
    new FlowctlError({
      code: `cli/${what}-missing`,
      kind: "invalid",
      message: `The ${what} ${JSON.stringify(key)} has no value: ${why}`,
      fix,
      path: `${what}s.${key}`,
      cause,
    });

function fromEnvironment(variable: string, env: Environment, missing: Missing): Uint8Array {
  const value = env[variable];
  if (value === undefined) throw missing(`${variable} is not set`, `Set ${variable} in the environment or in .env`);
  return new TextEncoder().encode(value);
}

async function fromFile(path: string, missing: Missing): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw missing(`${path} cannot be read`, "Make the file readable, or point to another", error);
  }
}
