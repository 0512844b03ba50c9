import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { BuiltinSpec } from "../catalog.ts";
import type { Component, HostPath } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

/** Makes the paths in settings absolute, and says which host folders they need. */
export async function resolvePaths(
  scope: Scope,
  at: KeyPath,
  component: Component,
  spec: BuiltinSpec,
): Promise<{ readonly settings: Readonly<Record<string, unknown>>; readonly hostPaths: readonly HostPath[] }> {
  const hostPaths = new Map<string, HostPath>();
  let result = component.with;
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
      if (access === "write") lintSharing(scope, where, item, component);
      const folder = await hostFolder(scope, where, item, absolute, access, component.with.follow === true);
      if (hostPaths.get(folder)?.access !== "write") hostPaths.set(folder, { path: folder, access });
    }
    if (value !== undefined) result = withValue(result, keys, many ? absolutes : absolutes[0]);
  }
  return { settings: result, hostPaths: [...hostPaths.values()] };
}

/** Instances that write to one file would write over each other; `{instance}` in its path gives each its own. */
function lintSharing(scope: Scope, where: KeyPath, path: string, component: Component): void {
  if (component.replicas === 1 || path.includes("{instance}")) return;
  reportAt(scope, where, {
    code: "pipeline/shared-output",
    message: `The ${component.replicas} instances of \`${component.id}\` would all write to ${path}`,
    fix: "Add `{instance}` to the path, such as `./out/{instance}.jsonl`, or run one instance.",
  });
}

/**
 * The folder to make available for a path. A path to read from that does not exist is an error, but for one that is
 * followed, since its reader waits for it.
 */
async function hostFolder(
  scope: Scope,
  where: KeyPath,
  written: string,
  path: string,
  access: "read" | "write",
  waits: boolean,
): Promise<string> {
  const pattern = path.search(/[*?{]/);
  if (pattern !== -1) return dirname(resolve(`${path.slice(0, pattern)}x`));
  if (path.includes("\0")) return dirname(path);
  const facts = await stat(path).catch(() => undefined);
  if (facts?.isDirectory() || written.endsWith("/")) {
    const action = access === "read" ? "read" : "written";
    reportAt(scope, where, {
      code: "pipeline/path-is-folder",
      message: `${path} is a folder, but must be a file to be ${action}`,
      fix: "Use the path of a file in it.",
    });
  }
  const obstacle = facts === undefined ? await fileAbove(path) : undefined;
  if (obstacle !== undefined && access === "write") {
    reportAt(scope, where, {
      code: "pipeline/path-missing",
      message: `${path} cannot be written: ${obstacle} is not a folder`,
      fix: "Fix the path; it is relative to the pipeline file.",
    });
  }
  if (facts === undefined && access === "read") {
    reportAt(scope, where, {
      code: "pipeline/path-missing",
      severity: waits ? "warning" : "error",
      message: `${path} does not exist${waits ? " yet" : ""}`,
      fix: "Fix the path; it is relative to the pipeline file.",
    });
  }
  return dirname(path);
}

/** The nearest thing above a path that is there, if it is not a folder. Folders that are missing are made. */
async function fileAbove(path: string): Promise<string | undefined> {
  const above = dirname(path);
  if (above === path) return undefined;
  const facts = await stat(above).catch(() => undefined);
  if (facts === undefined) return fileAbove(above);
  return facts.isDirectory() ? undefined : above;
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
