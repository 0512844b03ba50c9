import { readFile } from "node:fs/promises";
import type { Deployment, DeploymentOptions } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { ConfigFile, Pipeline, Secret } from "../pipeline/pipeline.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * A pipeline with the values of the secrets and configs that something in it is granted; configs that are given are not read.
 * Rejects with `cli/secret-missing` or `cli/config-missing` (kind invalid) for a value that is not there.
 */
export async function resolveDeployment(
  pipeline: Pipeline,
  env: Environment,
  options: DeploymentOptions,
  given: Pick<Partial<Deployment>, "configValues"> = {},
): Promise<Deployment> {
  const parts = [...pipeline.components, ...pipeline.services];
  const secretValues = new Map<string, Uint8Array>();
  for (const key of new Set(parts.flatMap(({ secrets }) => secrets.map(({ source }) => source)))) {
    const secret = pipeline.secrets[key];
    if (secret !== undefined) secretValues.set(key, await secretValue(key, secret, env));
  }
  const configValues = new Map<string, Uint8Array>();
  for (const key of new Set(parts.flatMap(({ configs }) => configs.map(({ source }) => source)))) {
    const config = pipeline.configs[key];
    const known = given.configValues?.get(key);
    if (config !== undefined) configValues.set(key, known ?? (await configValue(key, config, env)));
  }
  return { pipeline, secretValues, configValues, options };
}

async function secretValue(key: string, secret: Secret, env: Environment): Promise<Uint8Array> {
  const missing = missingValue("secret", key);
  switch (secret.kind) {
    case "environment":
      return fromEnvironment(secret.variable, env, missing);
    case "file":
      return fromFile(secret.path, missing);
    case "external":
      throw missing(`it is external (${secret.name}), which only Kubernetes has`, "Give it `environment:` or `file:`");
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
