import { posix } from "node:path";
import { oneOf, suggestion } from "../../foundation/did-you-mean.ts";
import type { ContainerSettings } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import { reportAt, reportAtKey } from "../resolve/scope.ts";
import type { ServiceFile } from "../schema/pipeline-file.ts";
import { nodeAt } from "../source/source-node.ts";
import type { LintContext } from "./lint-context.ts";

/** Secrets, configs, volumes and networks that something uses are declared, and mounts do not hide each other. */
export function lintReferences(context: LintContext): void {
  for (const item of context.resolved.components) lintOne(context, item.path, item.component, item.file);
  for (const item of context.resolved.services) lintOne(context, item.path, item.service, item.file);
}

function lintOne(
  context: LintContext,
  path: KeyPath,
  settings: ContainerSettings & { id: string },
  file: ServiceFile,
): void {
  for (const section of ["secrets", "configs"] as const) {
    settings[section].forEach((grant, index) => {
      const at = [...path, section, index];
      requireDeclared(
        context,
        section,
        grant.source,
        typeof file[section]?.[index] === "string" ? at : [...at, "source"],
        settings.id,
      );
    });
  }
  (file.volumes ?? []).forEach((volume, index) => {
    const at = [...path, "volumes", index];
    const mount = settings.mounts.find(
      (candidate) => candidate.type === "volume" && namesVolume(volume, candidate.source),
    );
    if (mount?.source !== undefined) {
      requireDeclared(
        context,
        "volumes",
        mount.source,
        typeof volume === "string" ? at : [...at, "source"],
        settings.id,
      );
    }
  });
  const isList = nodeAt(context.scope.root, [...path, "networks"])?.kind === "list";
  const networks = Array.isArray(file.networks) ? file.networks : Object.keys(file.networks ?? {});
  networks.forEach((network, index) => {
    if (network === "default") return;
    requireDeclared(
      context,
      "networks",
      network,
      [...path, "networks", isList ? index : network],
      settings.id,
      !isList,
    );
  });
  lintTargets(context, path, settings, file);
}

function namesVolume(volume: NonNullable<ServiceFile["volumes"]>[number], source: string | undefined): boolean {
  if (source === undefined) return false;
  return typeof volume === "string" ? volume.startsWith(`${source}:`) : volume.source === source;
}

function requireDeclared(
  context: LintContext,
  section: "secrets" | "configs" | "volumes" | "networks",
  name: string,
  at: KeyPath,
  user: string,
  atKey = false,
): void {
  const node = nodeAt(context.scope.root, [section]);
  const names = node?.kind === "map" ? [...node.entries.keys()] : [];
  if (names.includes(name) || context.scope.tainted([section])) return;
  const what = section.slice(0, -1);
  const report = atKey ? reportAtKey : reportAt;
  report(context.scope, at, {
    code: `pipeline/unknown-${what}`,
    message: `\`${user}\` uses the ${what} \`${name}\`, which is not declared under \`${section}\``,
    fix: suggestion(
      name,
      names,
      names.length === 0
        ? `Declare it under \`${section}\` at the top of the file.`
        : `Declare it, or use ${oneOf(names)}.`,
    ),
  });
}

function lintTargets(
  context: LintContext,
  path: KeyPath,
  settings: ContainerSettings & { id: string },
  file: ServiceFile,
): void {
  const places: (readonly [string, KeyPath])[] = [
    ...settings.secrets.map((grant, index) => [grant.target, [...path, "secrets", index]] as const),
    ...settings.configs.map((grant, index) => [grant.target, [...path, "configs", index]] as const),
    ...(settings.mounts.length === (file.volumes ?? []).length
      ? settings.mounts.map((mount, index) => [mount.target, [...path, "volumes", index]] as const)
      : []),
    ...settings.tmpfs.map((text, index) => {
      const at = typeof file.tmpfs === "string" ? [...path, "tmpfs"] : [...path, "tmpfs", index];
      return [text.replace(/:.*/s, ""), at] as const;
    }),
  ];
  const seen = new Set<string>();
  for (const [written, at] of places) {
    const target = posix.resolve("/", written);
    if (seen.has(target)) {
      reportAt(context.scope, at, {
        code: "pipeline/duplicate-target",
        message: `\`${settings.id}\` mounts two things at ${target}`,
        fix: "Change the target of one of them, or remove it.",
      });
    }
    seen.add(target);
  }
}
