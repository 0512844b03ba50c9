import type { ConfigFile, Network, Secret, Volume } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { PipelineFile } from "../schema/pipeline-file.ts";
import { recordOf } from "../values/pairs.ts";
import { isTrue, withoutUndefined } from "./plain-values.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAtKey } from "./scope.ts";

/** Where secrets come from. One that says nothing, or two things, is reported. */
export function resolveSecrets(scope: Scope): Readonly<Record<string, Secret>> {
  const result: Record<string, Secret> = {};
  for (const [key, secret] of Object.entries(scope.file.secrets ?? {})) {
    const path = ["secrets", key];
    if (scope.tainted([...path, "command"])) continue;
    const external = isTrue(secret.external);
    const [program, ...args] = secret.command ?? [];
    const ways = [secret.environment, secret.file, program].map((way) => way !== undefined);
    if (!exactlyOne(scope, path, [...ways, external], "`environment`, `file`, `command` or `external: true`")) continue;
    if (secret.environment !== undefined) result[key] = { kind: "environment", variable: secret.environment };
    else if (secret.file !== undefined) {
      result[key] = { kind: "file", path: absolutePath(scope, [...path, "file"], secret.file) };
    } else if (program !== undefined) {
      result[key] = { kind: "command", argv: [programOf(scope, [...path, "command"], program), ...args] };
    } else result[key] = { kind: "external", name: secret.name ?? key };
  }
  return result;
}

/** A name is looked up in PATH; what has a `/` is a path. */
function programOf(scope: Scope, path: KeyPath, program: string): string {
  return program.includes("/") ? absolutePath(scope, path, program) : program;
}

/** Where the content of configs comes from. One that says nothing, or two things, is reported. */
export function resolveConfigs(scope: Scope): Readonly<Record<string, ConfigFile>> {
  const result: Record<string, ConfigFile> = {};
  for (const [key, config] of Object.entries(scope.file.configs ?? {})) {
    const path = ["configs", key];
    const ways = [config.environment !== undefined, config.file !== undefined, config.content !== undefined];
    if (!exactlyOne(scope, path, ways, "`file`, `environment` or `content`")) continue;
    if (config.environment !== undefined) result[key] = { kind: "environment", variable: config.environment };
    else if (config.file !== undefined) {
      result[key] = { kind: "file", path: absolutePath(scope, [...path, "file"], config.file) };
    } else result[key] = { kind: "content", content: config.content ?? "" };
  }
  return result;
}

function exactlyOne(scope: Scope, path: KeyPath, ways: readonly boolean[], names: string): boolean {
  const count = ways.filter(Boolean).length;
  if (count === 1) return true;
  if (scope.tainted(path)) return false;
  reportAtKey(scope, path, {
    code: count === 0 ? "pipeline/no-origin" : "pipeline/conflicting-keys",
    message:
      count === 0
        ? `\`${path.join(".")}\` has no source for its value`
        : `\`${path.join(".")}\` has more than one source for its value`,
    fix: `Set exactly one of ${names}.`,
  });
  return false;
}

export function resolveVolumes(volumes: PipelineFile["volumes"]): Readonly<Record<string, Volume>> {
  return Object.fromEntries(
    Object.entries(volumes ?? {}).map(([key, volume]) => [
      key,
      withoutUndefined<Volume>({
        name: volume?.name ?? (isTrue(volume?.external) ? key : undefined),
        external: isTrue(volume?.external),
        driver: volume?.driver,
        driverOpts: recordOf(volume?.driver_opts),
        labels: recordOf(volume?.labels),
      }),
    ]),
  );
}

export function resolveNetworks(networks: PipelineFile["networks"]): Readonly<Record<string, Network>> {
  return Object.fromEntries(
    Object.entries(networks ?? {}).map(([key, network]) => [
      key,
      withoutUndefined<Network>({
        name: network?.name ?? (isTrue(network?.external) ? key : undefined),
        external: isTrue(network?.external),
        driver: network?.driver,
        driverOpts: recordOf(network?.driver_opts),
        internal: isTrue(network?.internal),
        labels: recordOf(network?.labels),
      }),
    ]),
  );
}

/** Paths absolute; what stands after `#`, a message of a protobuf file, is kept. */
export function resolveSchemas(scope: Scope): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(scope.file.schemas ?? {}).map(([type, reference]) => {
      const at = reference.lastIndexOf("#");
      const path = absolutePath(scope, ["schemas", type], at === -1 ? reference : reference.slice(0, at));
      return [type, at === -1 ? path : path + reference.slice(at)];
    }),
  );
}
