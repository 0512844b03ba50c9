import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isWithin } from "../../foundation/is-within.ts";
import type { BuiltinSpec } from "../catalog.ts";
import type { Component, DriverName, HostPath } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

/** What the paths of a component start from, and where they are used. */
export interface PathOptions {
  /** The project folder; absolute. */
  readonly directory: string;
  readonly driver?: DriverName | undefined;
}

/** Makes the paths in settings absolute, and says which files and folders of the host they need. */
export async function resolvePaths(
  scope: Scope,
  at: KeyPath,
  component: Component,
  spec: BuiltinSpec,
  options: PathOptions,
): Promise<{ readonly settings: Readonly<Record<string, unknown>>; readonly hostPaths: readonly HostPath[] }> {
  const hostPaths = new Map<string, HostPath>();
  const follows = component.with.follow === true;
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
      await lintPath(scope, where, item, absolute, access, follows);
      const needed = hostPath(scope, where, absolute, access, follows, options);
      if (hostPaths.get(needed.path)?.access !== "write") hostPaths.set(needed.path, needed);
    }
    if (value !== undefined) result = withValue(result, keys, many ? absolutes : absolutes[0]);
  }
  return { settings: result, hostPaths: withoutCovered([...hostPaths.values()]) };
}

/**
 * What to make available for a path: to read a file, that file; to follow one, its folder, since others take its name; to
 * write one, its folder, so that it may be moved away and come again, or, where that is a folder of many other things, the
 * file alone.
 */
function hostPath(
  scope: Scope,
  where: KeyPath,
  path: string,
  access: HostPath["access"],
  follows: boolean,
  { directory, driver }: PathOptions,
): HostPath {
  const folder = dirname(path);
  const isShared = isSharedFolder(folder, [directory, scope.env.get("HOME"), scope.env.get("TMPDIR")]);
  if (access === "read" && !follows) return { path, access, kind: "file" };
  if (!isShared) return { path: folder, access, kind: "folder" };
  if (access === "write") return { path, access, kind: "file" };
  if (driver !== "process") {
    reportAt(scope, where, {
      code: "pipeline/shared-folder",
      severity: driver === "docker" ? "error" : "warning",
      message: `On Docker, a file that is followed needs its folder, and ${folder} contains more than the component may see`,
      fix: `Move the file into a folder of its own, such as \`${join(folder, "logs", basename(path))}\`.`,
    });
  }
  return { path: folder, access, kind: "folder", isShared };
}

/** Files in a folder that is available as well need nothing of their own. */
function withoutCovered(paths: readonly HostPath[]): readonly HostPath[] {
  return paths.filter(
    (one) =>
      !paths.some(
        (other) =>
          other !== one &&
          other.kind === "folder" &&
          (other.access === "write" || one.access === "read") &&
          isWithin(one.path, other.path),
      ),
  );
}

/** Folders of the machine that hold what is not the pipeline's. */
const SHARED_FOLDERS = ["/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/tmp"];

/** Whether a folder is, or contains, one of those that hold what a component is not to see. */
function isSharedFolder(folder: string, others: readonly (string | undefined)[]): boolean {
  return [...SHARED_FOLDERS, ...others].some((shared) => shared !== undefined && isWithin(shared, folder));
}

/** Instances that write to one file would write over each other; `{instance}` in its path gives each its own. */
function lintSharing(scope: Scope, where: KeyPath, path: string, component: Component): void {
  if (component.replicas === 1 || path.includes("{instance}")) return;
  reportAt(scope, where, {
    code: "pipeline/shared-output",
    message: `The ${component.replicas} instances of \`${component.id}\` would all write to ${path}`,
    fix: `Write \`${where.at(-1)}: "${forEachInstance(path)}"\`, or run one instance.`,
  });
}

/** `out/readings.jsonl.gz` as `out/readings-{instance}.jsonl.gz`. */
function forEachInstance(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const endings = name.slice(1).indexOf(".") + 1;
  const at = path.length - (endings === 0 ? 0 : name.length - endings);
  return `${path.slice(0, at)}-{instance}${path.slice(at)}`;
}

/** A path to read from that does not exist is an error, but for one that is followed, since its reader waits for it. */
async function lintPath(
  scope: Scope,
  where: KeyPath,
  written: string,
  path: string,
  access: "read" | "write",
  waits: boolean,
): Promise<void> {
  if (/[*?{\0]/.test(path)) return;
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
