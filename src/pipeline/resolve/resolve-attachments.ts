import { posix } from "node:path";
import type { FileGrant, Mount, PortMapping } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { ServiceFile } from "../schema/pipeline-file.ts";
import { isHostPath, parseMount } from "../values/mount.ts";
import { expandPort, parsePort } from "../values/port.ts";
import { isTrue, withoutUndefined } from "./plain-values.ts";
import type { Scope } from "./scope.ts";
import { absolutePath, reportAt } from "./scope.ts";

/** The mappings of one item of `ports`; a text says what is wrong with it. */
export function portsOf(item: NonNullable<ServiceFile["ports"]>[number]): readonly PortMapping[] | string {
  return typeof item === "object" ? expandPort(item) : parsePort(item);
}

export function resolvePorts(scope: Scope, path: KeyPath, ports: ServiceFile["ports"]): readonly PortMapping[] {
  return (ports ?? []).flatMap((item, index) => {
    const mappings = portsOf(item);
    if (typeof mappings !== "string") return mappings;
    const shown = typeof item === "object" ? "This" : `\`${item}\``;
    reportAt(scope, [...path, index], {
      code: "pipeline/invalid-port",
      message: `Invalid port mapping ${shown}: ${mappings}`,
      fix: 'Use a mapping such as "8080:80" or "127.0.0.1:8080:80/tcp".',
    });
    return [];
  });
}

export function resolveMounts(scope: Scope, path: KeyPath, volumes: ServiceFile["volumes"]): readonly Mount[] {
  return (volumes ?? []).flatMap((item, index) => {
    const at = [...path, index];
    const mount = typeof item === "string" ? parseMount(item) : longMount(item);
    if (typeof mount === "string") {
      reportAt(scope, at, {
        code: "pipeline/invalid-mount",
        message: typeof item === "string" ? `Invalid mount \`${item}\`: ${mount}` : `Invalid mount: ${mount}`,
        fix: 'Use a mount such as "./data:/data:ro" or "volume:/data".',
      });
      return [];
    }
    if (mount.type !== "bind" || mount.source === undefined) return [mount];
    return [{ ...mount, source: absolutePath(scope, typeof item === "string" ? at : [...at, "source"], mount.source) }];
  });
}

function longMount(item: Exclude<NonNullable<ServiceFile["volumes"]>[number], string>): Mount | string {
  if (!posix.isAbsolute(item.target)) return `the path in the container, \`${item.target}\`, is not absolute`;
  if (item.type === "bind" && item.source === undefined) return "a bind mount needs a `source`";
  if (item.type === "tmpfs" && item.source !== undefined) return "a tmpfs mount has no `source`";
  if (item.type === "volume" && item.source !== undefined && isHostPath(item.source)) {
    return "the `source` of a volume must be a volume name, not a path; for a path, use `type: bind`";
  }
  return withoutUndefined<Mount>({
    type: item.type,
    source: item.source,
    target: item.target,
    readOnly: isTrue(item.read_only),
  });
}

/** Secrets or configs as files; `folder` is where those without an absolute target go. */
export function resolveGrants(grants: ServiceFile["secrets"], folder: string): readonly FileGrant[] {
  return (grants ?? []).map((item) => {
    const grant = typeof item === "string" ? { source: item } : item;
    const target = grant.target ?? grant.source;
    return withoutUndefined<FileGrant>({
      source: grant.source,
      target: posix.isAbsolute(target) ? target : `${folder}${target}`,
      mode: grant.mode === undefined ? undefined : modeOf(grant.mode),
      uid: grant.uid === undefined ? undefined : String(grant.uid),
      gid: grant.gid === undefined ? undefined : String(grant.gid),
    });
  });
}

function modeOf(mode: number | string): number {
  return typeof mode === "number" ? mode : Number.parseInt(mode.replace(/^0?o/, ""), 8);
}
