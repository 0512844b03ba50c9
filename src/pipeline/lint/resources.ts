import { stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import type { ContainerSettings } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";

/** What the file refers to outside of itself is there: files, folders to build from, variables that hold secrets. */
export async function lintResources(context: LintContext): Promise<void> {
  const { resolved } = context;
  const { pipeline } = resolved;
  const active: readonly (readonly [KeyPath, ContainerSettings])[] = [
    ...resolved.components.filter((item) => item.active).map((item) => [item.path, item.component] as const),
    ...resolved.services.filter((item) => item.active).map((item) => [item.path, item.service] as const),
  ];
  const used = new Set(active.flatMap(([, settings]) => settings.secrets.map((grant) => grant.source)));
  for (const [name, secret] of Object.entries(pipeline.secrets)) {
    const at = ["secrets", name];
    if (secret.kind === "file") await requireFile(context, [...at, "file"], secret.path);
    if (secret.kind !== "environment" || !used.has(name)) continue;
    requireVariable(context, [...at, "environment"], secret.variable, `The secret \`${name}\``);
  }
  const usedConfigs = new Set(active.flatMap(([, settings]) => settings.configs.map((grant) => grant.source)));
  for (const [name, config] of Object.entries(pipeline.configs)) {
    const at = ["configs", name];
    if (config.kind === "file") await requireFile(context, [...at, "file"], config.path);
    if (config.kind !== "environment" || !usedConfigs.has(name)) continue;
    requireVariable(context, [...at, "environment"], config.variable, `The config \`${name}\``);
  }
  for (const [type, reference] of Object.entries(pipeline.schemas)) await lintSchema(context, type, reference);
  for (const [path, settings] of active) await lintBuild(context, path, settings);
}

function requireVariable(context: LintContext, at: KeyPath, variable: string, what: string): void {
  if (context.scope.env.has(variable)) return;
  reportAt(context.scope, at, {
    code: "pipeline/secret-unset",
    message: `${what} comes from the variable ${variable}, which is not set`,
    fix: `Set ${variable} in the environment or in the .env file.`,
  });
}

async function lintSchema(context: LintContext, type: string, reference: string): Promise<void> {
  const at = ["schemas", type];
  const mark = reference.lastIndexOf("#");
  const path = mark === -1 ? reference : reference.slice(0, mark);
  const message = mark === -1 ? undefined : reference.slice(mark + 1);
  if (path.endsWith(".proto") && !/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/.test(message ?? "")) {
    reportAt(context.scope, at, {
      code: "pipeline/invalid-schema-reference",
      message: `The schema of \`${type}\` does not name a message in the .proto file`,
      fix: "Write `file.proto#package.Message`.",
    });
  }
  await requireFile(context, at, path);
}

async function lintBuild(context: LintContext, path: KeyPath, settings: ContainerSettings): Promise<void> {
  const { build } = settings;
  if (build === undefined || context.scope.tainted([...path, "build"]) || !isAbsolute(build.context)) return;
  const facts = await factsOf(build.context);
  const at = [...path, "build", "context"];
  if (!facts?.isDirectory()) {
    reportAt(context.scope, at, {
      code: "pipeline/path-missing",
      message: facts === undefined ? `${build.context} does not exist` : `${build.context} is not a folder`,
      fix: "Set `build.context` to the folder to build from, relative to the pipeline file.",
    });
    return;
  }
  if (build.dockerfileInline !== undefined) return;
  const dockerfile = build.dockerfile ?? "Dockerfile";
  const found = await factsOf(dockerfile.startsWith("/") ? dockerfile : `${build.context}/${dockerfile}`);
  if (found !== undefined && !found.isDirectory()) return;
  reportAt(context.scope, build.dockerfile === undefined ? at : [...path, "build", "dockerfile"], {
    code: "pipeline/path-missing",
    message:
      found === undefined
        ? `${build.context} has no ${dockerfile}`
        : `${dockerfile} in ${build.context} is a folder, not a Dockerfile`,
    fix: "Add it, or set `build.dockerfile` to another file.",
  });
}

async function requireFile(context: LintContext, at: KeyPath, path: string): Promise<void> {
  const facts = await factsOf(path);
  if (facts !== undefined && !facts.isDirectory()) return;
  reportAt(context.scope, at, {
    code: "pipeline/path-missing",
    message: facts === undefined ? `${path} does not exist` : `${path} is a folder, not a file`,
    fix: "Fix the path; it is relative to the pipeline file.",
  });
}

async function factsOf(path: string) {
  return path.includes("\0") ? undefined : stat(path).catch(() => undefined);
}
