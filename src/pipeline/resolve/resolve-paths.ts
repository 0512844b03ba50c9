import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { BuiltinSpec } from "../catalog.ts";
import type { HostPath } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

/** Makes the paths in settings absolute, and says which host folders they need. */
export async function resolvePaths(
  scope: Scope,
  at: KeyPath,
  settings: Readonly<Record<string, unknown>>,
  spec: BuiltinSpec,
): Promise<{ readonly settings: Readonly<Record<string, unknown>>; readonly hostPaths: readonly HostPath[] }> {
  const hostPaths = new Map<string, HostPath>();
  let result = settings;
  for (const [dotted, access] of Object.entries(spec.paths)) {
    const keys = dotted.split(".");
    const value = valueAt(result, keys);
    const many = Array.isArray(value);
    const list: readonly unknown[] = many ? value : [value];
    const absolutes: unknown[] = [];
    for (const [index, item] of list.entries()) {
      if (typeof item !== "string" || item === "") {
        absolutes.push(item);
        continue;
      }
      const where = many ? [...at, ...keys, index] : [...at, ...keys];
      const absolute = absolutePath(scope, where, item);
      absolutes.push(absolute);
      const folder = await hostFolder(scope, where, absolute, access, settings.follow === true);
      if (hostPaths.get(folder)?.access !== "write") hostPaths.set(folder, { path: folder, access });
    }
    if (value !== undefined) result = withValue(result, keys, many ? absolutes : absolutes[0]);
  }
  return { settings: result, hostPaths: [...hostPaths.values()] };
}

/**
 * The folder to make available for a path. A path to read from that does not exist is an error, but for one that is
 * followed, since its reader waits for it.
 */
async function hostFolder(
  scope: Scope,
  where: KeyPath,
  path: string,
  access: "read" | "write",
  waits: boolean,
): Promise<string> {
  const pattern = path.search(/[*?]/);
  if (pattern !== -1) return dirname(resolve(`${path.slice(0, pattern)}x`));
  if (path.includes("\0")) return dirname(path);
  const facts = await stat(path).catch(() => undefined);
  if (facts?.isDirectory()) {
    if (access === "read") return path;
    reportAt(scope, where, {
      code: "pipeline/path-is-folder",
      message: `${path} is a folder, and a file has to be written there`,
      fix: "Name a file in it.",
    });
  }
  if (facts === undefined && access === "read") {
    reportAt(scope, where, {
      code: "pipeline/path-missing",
      severity: waits ? "warning" : "error",
      message: `${path} does not exist${waits ? " yet" : ""}`,
      fix: "Correct the path; it is relative to the pipeline file.",
    });
  }
  return dirname(path);
}

function valueAt(settings: unknown, keys: readonly string[]): unknown {
  let value = settings;
  for (const key of keys) {
    value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** The settings with another value at `keys`. */
export function withValue(
  settings: Readonly<Record<string, unknown>>,
  keys: readonly string[],
  value: unknown,
): Readonly<Record<string, unknown>> {
  const [key, ...rest] = keys;
  if (key === undefined) return settings;
  const current = settings[key];
  if (Array.isArray(current) && rest.length > 0) return settings;
  return { ...settings, [key]: rest.length === 0 ? value : withValue(isRecord(current) ? current : {}, rest, value) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
