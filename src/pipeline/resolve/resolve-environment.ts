import type { KeyPath } from "../problem.ts";
import type { ServiceFile } from "../schema/pipeline-file.ts";
import { readVariables } from "../source/read-environment.ts";
import { pairsOf } from "../values/pairs.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

/** The files of `env_file`, absolute, each with where it is written. */
export function envFilesOf(
  scope: Pick<Scope, "root" | "env">,
  path: KeyPath,
  file: ServiceFile,
): readonly { readonly path: string; readonly required: boolean; readonly at: KeyPath }[] {
  if (file.env_file === undefined) return [];
  const at = [...path, "env_file"];
  const list = typeof file.env_file === "string" ? [file.env_file] : file.env_file;
  return list.map((item, index) => {
    const place = typeof file.env_file === "string" ? at : [...at, index];
    const name = typeof item === "string" ? item : item.path;
    const required = typeof item === "string" || !(item.required === false || item.required === "false");
    return { path: absolutePath(scope, place, name), required, at: place };
  });
}

/**
 * `env_file`, then `environment`, which wins. A name without a value takes that of the host, or is left out. Values in an
 * `env_file` refer to the environment of the host, and to variables above them and in the files before.
 */
export function resolveEnvironment(scope: Scope, path: KeyPath, file: ServiceFile): Readonly<Record<string, string>> {
  const result = new Map<string, string>();
  for (const envFile of envFilesOf(scope, path, file)) {
    const source = scope.envFiles.get(envFile.path);
    if (source === undefined) continue;
    const variables = readVariables(source, (name) => scope.env.get(name) ?? result.get(name), scope.problems);
    for (const [key, value] of variables) result.set(key, value);
  }
  const isList = Array.isArray(file.environment);
  let index = 0;
  for (const [key, value] of pairsOf(file.environment)) {
    const at = [...path, "environment", isList ? index : key];
    index++;
    if (key === "" || key.includes("\0") || key.includes("=")) {
      reportAt(scope, at, {
        code: "pipeline/invalid-name",
        message: `Invalid variable name ${JSON.stringify(key)}`,
        fix: "Write NAME=value.",
      });
      continue;
    }
    if (key.startsWith("FLOWCTL_") && path[0] !== "services") {
      reportAt(scope, at, {
        code: "pipeline/reserved-variable",
        message: `The variable ${key} is reserved by flowctl`,
        fix: "Use another name, or put component settings in `with`.",
      });
    }
    const final = value ?? scope.env.get(key);
    if (final === undefined) result.delete(key);
    else result.set(key, final);
  }
  return Object.fromEntries(result);
}
