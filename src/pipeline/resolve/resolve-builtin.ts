import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { messageOf } from "../../foundation/errors.ts";
import type { BuiltinSpec, SettingProblem } from "../catalog.ts";
import type { Component, HostPath } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import { structureIssues } from "../schema/issues.ts";
import { reportStructure } from "../schema/report-structure.ts";
import { retype } from "../source/interpolate-nodes.ts";
import { placeInScalar } from "../source/place-in-scalar.ts";
import { nodeAt, valuePlace } from "../source/source-node.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

/**
 * Checks `with` of a built-in and completes the component: paths absolute, host folders known, event types as the
 * built-in declares them where the file does not. The settings themselves stay as written, for the component reads
 * them with the same schema again.
 */
export async function resolveBuiltin(
  scope: Scope,
  path: KeyPath,
  component: Component,
  spec: BuiltinSpec,
): Promise<Component> {
  const at = [...path, "with"];
  const written = settingsOf(scope, at, component, spec);
  if (!scope.tainted(at)) checkSettings(scope, at, { ...component, with: written }, spec);
  const { settings, hostPaths } = await resolvePaths(scope, at, written, spec);
  return {
    ...component,
    with: settings,
    hostPaths,
    consumes: component.consumes.length > 0 ? component.consumes : spec.consumes,
    produces: component.produces.length > 0 ? component.produces : spec.produces,
  };
}

/** `with`, in which a quoted `"${N}"` is a number or a boolean where the schema wants one and refuses a text. */
function settingsOf(
  scope: Scope,
  at: KeyPath,
  component: Component,
  spec: BuiltinSpec,
): Readonly<Record<string, unknown>> {
  const result = spec.schema.safeParse(component.with);
  let settings = component.with;
  for (const issue of result.success ? [] : result.error.issues) {
    const path = issue.path.map(String);
    const node = nodeAt(scope.root, [...at, ...path]);
    if (node?.kind !== "scalar" || node.interpolated === undefined || typeof node.value !== "string") continue;
    settings = withValue(settings, path, retype(node.value));
  }
  return settings;
}

function checkSettings(scope: Scope, at: KeyPath, component: Component, spec: BuiltinSpec): void {
  const result = spec.schema.safeParse(component.with);
  if (!result.success) {
    for (const issue of structureIssues(result.error.issues)) {
      reportStructure(spec.schema, scope.root, at, issue, scope.problems);
    }
    return;
  }
  for (const problem of settingProblems(spec, result.data)) {
    const where = [...at, ...problem.path];
    const node = nodeAt(scope.root, where);
    scope.problems.add(node === undefined ? valuePlace(scope.root, where) : placeInScalar(node, problem.offset), {
      code: "pipeline/invalid-setting",
      message: `\`${problem.path.join(".") || "with"}\` of \`${component.id}\`: ${problem.message}`,
      fix: problem.fix === undefined ? "Correct the setting." : sentence(problem.fix),
      path: where,
    });
  }
  const granted = new Set(component.secrets.map((secret) => secret.source));
  for (const name of spec.secretsOf?.(result.data) ?? []) {
    if (granted.has(name) || scope.tainted([...at.slice(0, -1), "secrets"])) continue;
    reportAt(scope, settingWith(at, component.with, name), {
      code: "pipeline/secret-not-granted",
      message: `The settings of \`${component.id}\` use the secret \`${name}\`, which it is not given`,
      fix: `Add \`secrets: [${name}]\` to \`${component.id}\`.`,
    });
  }
}

function settingProblems(spec: BuiltinSpec, settings: Record<string, unknown>): readonly SettingProblem[] {
  try {
    return spec.check?.(settings) ?? [];
  } catch (error) {
    return [{ path: [], message: messageOf(error) }];
  }
}

function settingWith(at: KeyPath, settings: Readonly<Record<string, unknown>>, value: string): KeyPath {
  const key = Object.keys(settings).find((name) => settings[name] === value);
  return key === undefined ? at : [...at, key];
}

async function resolvePaths(
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

function withValue(
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

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
