import { listed, suggestion } from "../../foundation/did-you-mean.ts";
import { messageOf } from "../../foundation/errors.ts";
import type { BuiltinSpec, SettingProblem } from "../catalog.ts";
import type { Component } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import { structureIssues } from "../schema/issues.ts";
import { reportStructure } from "../schema/report-structure.ts";
import { retype } from "../source/interpolate-nodes.ts";
import { placeInScalar } from "../source/place-in-scalar.ts";
import { nodeAt, valuePlace } from "../source/source-node.ts";
import { type PathOptions, resolvePaths, withValue } from "./resolve-paths.ts";
import type { Scope } from "./scope.ts";
import { reportAt } from "./scope.ts";

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
  options: PathOptions,
): Promise<Component> {
  const at = [...path, "with"];
  const written = settingsOf(scope, at, component, spec);
  if (!scope.tainted(at)) checkSettings(scope, at, { ...component, with: written }, spec);
  const { settings, hostPaths } = await resolvePaths(scope, at, { ...component, with: written }, spec, options);
  return {
    ...component,
    with: settings,
    hostPaths,
    consumes: component.consumes.length > 0 ? component.consumes : spec.consumes,
    produces: component.produces.length > 0 ? component.produces : declaredTypes(spec, written),
  };
}

/**
 * The event types that a built-in gives with these settings; `as-taken` are those of its inputs. Any, which is the empty
 * list, when the settings are wrong.
 */
export function builtinTypes(spec: BuiltinSpec, settings: Component["with"]): readonly string[] | "as-taken" {
  if (spec.producesWith === undefined) return spec.produces;
  const result = spec.schema.safeParse(settings);
  return result.success ? spec.producesWith(result.data) : [];
}

function declaredTypes(spec: BuiltinSpec, settings: Component["with"]): readonly string[] {
  const types = builtinTypes(spec, settings);
  return types === "as-taken" ? spec.produces : types;
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
  if (result.success) {
    checkFurther(scope, at, component, spec, result.data);
    return;
  }
  const wrong = new Set<unknown>();
  for (const issue of structureIssues(result.error.issues)) {
    reportStructure(spec.schema, scope.root, at, issue, scope.problems);
    const keys = issue.kind === "unknown-keys" && issue.path.length === 0 ? issue.keys : [issue.path[0]];
    for (const key of keys) wrong.add(key);
  }
  // What is wrong is left out, so that the other settings can be checked in the same run.
  const rest = Object.fromEntries(Object.entries(component.with).filter(([key]) => !wrong.has(key)));
  const partial = spec.schema.safeParse(rest);
  if (partial.success) checkFurther(scope, at, { ...component, with: rest }, spec, partial.data);
}

/** Checks that the schema cannot make. */
function checkFurther(
  scope: Scope,
  at: KeyPath,
  component: Component,
  spec: BuiltinSpec,
  settings: Record<string, unknown>,
): void {
  for (const problem of settingProblems(spec, settings)) {
    const where = [...at, ...problem.path];
    const node = nodeAt(scope.root, where);
    // What a variable put in is shown as its name, and so is not to stand in a fix that says the value once more.
    const { fix, ...withoutFix } = problem;
    const isPutIn = node?.kind === "scalar" && node.interpolated === true;
    scope.problems.add(node === undefined ? valuePlace(scope.root, where) : placeInScalar(node, problem.offset), {
      code: "pipeline/invalid-setting",
      message: `\`${problem.path.join(".") || "with"}\` of \`${component.id}\`: ${problem.message}`,
      fix: settingFix(isPutIn || fix === undefined ? withoutFix : problem),
      path: where,
    });
  }
  const granted = new Set(component.secrets.map((secret) => secret.source));
  for (const name of spec.secretsOf?.(settings) ?? []) {
    if (granted.has(name) || scope.tainted([...at.slice(0, -1), "secrets"])) continue;
    reportAt(scope, [...at, ...(pathOfValue(component.with, name) ?? [])], {
      code: "pipeline/secret-not-granted",
      message: `The settings of \`${component.id}\` use the secret \`${name}\`, which is not granted to it`,
      fix: `Add \`secrets: [${name}]\` to \`${component.id}\`.`,
    });
  }
}

function settingFix({ fix, unknown, path }: SettingProblem): string {
  if (looksLikeExpression(String(path.at(-1) ?? "")))
    return "Quote the whole expression: without quotes YAML reads `{ … }` as a mapping.";
  if (fix !== undefined) return sentence(fix);
  if (unknown === undefined) return "Fix the setting.";
  return suggestion(unknown.name, unknown.known, `Use one of ${listed(unknown.known.toSorted(), 40)}.`);
}

/** Whether a key of the settings is rather the beginning of an expression in braces, which YAML took for a mapping. */
const looksLikeExpression = (key: string): boolean => /[?<>=&|!]/.test(key);

function settingProblems(spec: BuiltinSpec, settings: Record<string, unknown>): readonly SettingProblem[] {
  try {
    return spec.check?.(settings) ?? [];
  } catch (error) {
    return [{ path: [], message: messageOf(error) }];
  }
}

/** Where in the settings a text stands. */
function pathOfValue(settings: unknown, value: string): KeyPath | undefined {
  if (settings === value) return [];
  if (typeof settings !== "object" || settings === null) return undefined;
  for (const [key, item] of Object.entries(settings)) {
    const path = pathOfValue(item, value);
    if (path !== undefined) return [Array.isArray(settings) ? Number(key) : key, ...path];
  }
  return undefined;
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
