import { isIP } from "node:net";
import { posix } from "node:path";
import { closest, listed } from "../../foundation/did-you-mean.ts";
import { parseDuration } from "../../foundation/duration.ts";
import type { ContainerSettings } from "../pipeline.ts";
import type { Finding, KeyPath } from "../problem.ts";
import { reportAt, reportAtKey } from "../resolve/scope.ts";
import type { ServiceFile } from "../schema/pipeline-file.ts";
import { nodeAt } from "../source/source-node.ts";
import { formatByteSize } from "../values/byte-size.ts";
import { imageReferenceMistake } from "../values/image-reference.ts";
import type { LintContext } from "./lint-context.ts";

/** What Docker refuses to start a container with, in bytes. */
const leastMemory = 6 * 1024 * 1024;
const limitsOfKernel = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "locks",
  "memlock",
  "msgqueue",
  "nice",
  "nofile",
  "nproc",
  "rss",
  "rtprio",
  "rttime",
  "sigpending",
  "stack",
];

interface Item {
  readonly path: KeyPath;
  readonly settings: ContainerSettings & { readonly id: string };
  readonly file: ServiceFile;
}

/** What an engine would refuse, though it has the right form: it is found here and not in the middle of a start. */
export function lintContainers(context: LintContext): void {
  const { resolved } = context;
  const items: readonly Item[] = [
    ...resolved.components.map(({ path, component, file }) => ({ path, settings: component, file })),
    ...resolved.services.map(({ path, service, file }) => ({ path, settings: service, file })),
  ];
  for (const item of items) {
    lintImage(context, item);
    lintMemory(context, item);
    lintHealthcheck(context, item);
    lintPlaces(context, item);
    lintReadOnly(context, item);
    lintUlimits(context, item);
    lintHosts(context, item);
  }
}

function lintImage({ scope }: LintContext, { path, settings, file }: Item): void {
  const { image, build } = settings;
  if (image !== undefined && !scope.tainted([...path, "image"])) report(scope, [...path, "image"], image);
  (build?.cacheFrom ?? []).forEach((name, index) => {
    // Builders also take descriptions such as `type=registry,ref=…`.
    if (!name.includes("=")) report(scope, [...path, "build", "cache_from", index], name);
  });
  if (file.pull_policy === "build" && build === undefined) {
    reportAt(scope, [...path, "pull_policy"], {
      code: "pipeline/conflicting-keys",
      message: `\`pull_policy: build\` of \`${settings.id}\` requires \`build\`, which is not set`,
      fix: "Add `build`, or use another `pull_policy`.",
    });
  }
}

function report(scope: LintContext["scope"], at: KeyPath, image: string): void {
  const mistake = imageReferenceMistake(image);
  if (mistake === undefined) return;
  reportAt(scope, at, {
    code: "pipeline/invalid-image",
    message: `Invalid image name ${JSON.stringify(image)}: ${mistake}`,
    fix: "Use a name such as `postgres:16` or `ghcr.io/team/enrich:1.2`.",
  });
}

function lintMemory({ scope }: LintContext, { path, settings, file }: Item): void {
  const bytes = settings.limits.memoryBytes;
  if (bytes === undefined || bytes === 0 || bytes >= leastMemory) return;
  const written = String(file.deploy?.resources?.limits?.memory);
  reportAt(scope, [...path, "deploy", "resources", "limits", "memory"], {
    code: "pipeline/limit-too-small",
    message: `The memory limit of \`${settings.id}\` is too low to start it: ${formatByteSize(bytes)}`,
    fix: /^\d+$/.test(written)
      ? `Add the unit: \`${written}M\`.`
      : `Set it to at least ${formatByteSize(leastMemory)}.`,
  });
}

function lintHealthcheck({ scope }: LintContext, { path, file }: Item): void {
  for (const key of ["interval", "timeout", "start_interval"] as const) {
    const written = file.healthcheck?.[key];
    // Engines take zero for "the default", and refuse what is shorter than a millisecond.
    if (written === undefined || parseDuration(written) !== 0) continue;
    reportAt(scope, [...path, "healthcheck", key], {
      code: "pipeline/invalid-healthcheck",
      message: `\`${key}\` of a health check must be at least 1ms, not ${written}`,
      fix: "Use a longer duration, or remove the key to use the default.",
    });
  }
}

function lintPlaces({ scope }: LintContext, { path, settings, file }: Item): void {
  const isContainer = settings.image !== undefined || settings.build !== undefined;
  const { workingDir } = settings;
  if (isContainer && workingDir !== undefined && !posix.isAbsolute(workingDir)) {
    reportAt(scope, [...path, "working_dir"], {
      code: "pipeline/invalid-path",
      message: `\`working_dir\` must be an absolute path in the container, not ${JSON.stringify(workingDir)}`,
      fix: "Start the path with `/`.",
    });
  }
  settings.tmpfs.forEach((text, index) => {
    const at = typeof file.tmpfs === "string" ? [...path, "tmpfs"] : [...path, "tmpfs", index];
    const [target = "", options = ""] = text.split(":");
    const size = /(?:^|,)size=([^,]*)/.exec(options)?.[1];
    if (!posix.isAbsolute(target) || posix.normalize(target) === "/") reportAt(scope, at, wrongTarget(target));
    else if (size !== undefined && !/^\d+[kmg%]?$/i.test(size)) {
      reportAt(scope, at, {
        code: "pipeline/invalid-mount",
        message: `Invalid size ${JSON.stringify(size)}`,
        fix: "Use a size such as `size=64m`.",
      });
    }
  });
  if (settings.mounts.length === (file.volumes ?? []).length) {
    settings.mounts.forEach((mount, index) => {
      if (posix.normalize(mount.target) === "/")
        reportAt(scope, [...path, "volumes", index], wrongTarget(mount.target));
    });
  }
  for (const section of ["secrets", "configs"] as const) {
    (file[section] ?? []).forEach((grant, index) => {
      const target = typeof grant === "object" ? (grant.target ?? "") : "";
      if (!target.split("/").includes("..") && !target.endsWith("/")) return;
      reportAt(scope, [...path, section, index, "target"], {
        code: "pipeline/invalid-path",
        message: `Invalid file path in the container: ${JSON.stringify(target)}`,
        fix: "Use a file name or an absolute path without `..`.",
      });
    });
  }
}

/** Files are put into a read-only container through folders that are mounted for them, and the root cannot be one. */
function lintReadOnly({ scope, driver }: LintContext, { path, settings }: Item): void {
  if (!settings.readOnly || driver === "process") return;
  for (const section of ["secrets", "configs"] as const) {
    settings[section].forEach(({ source, target }, index) => {
      if (posix.dirname(target) !== "/") return;
      reportAt(scope, [...path, section, index], {
        code: "pipeline/read-only-root",
        severity: driver === "docker" ? "error" : "warning",
        message: `The file ${target} of \`${settings.id}\` cannot be created on Docker: its root file system is read-only`,
        fix: `Use a \`target\` in a folder, such as \`{ source: ${source}, target: /etc/${settings.id}/${source} }\`, or set \`read_only: false\`.`,
      });
    });
  }
}

function wrongTarget(target: string): Omit<Finding, "path"> {
  return {
    code: "pipeline/invalid-mount",
    message: `Invalid mount target ${JSON.stringify(target)}`,
    fix: "Use an absolute path in the container other than `/`.",
  };
}

function lintUlimits({ scope }: LintContext, { path, settings }: Item): void {
  for (const [name, { soft, hard }] of Object.entries(settings.ulimits)) {
    const at = [...path, "ulimits", name];
    const guess = closest(name, limitsOfKernel);
    if (!limitsOfKernel.includes(name)) {
      reportAtKey(scope, at, {
        code: "pipeline/unknown-limit",
        message: `Unknown ulimit \`${name}\``,
        fix: guess === undefined ? `Use one of ${listed(limitsOfKernel, 40)}.` : `Did you mean \`${guess}\`?`,
      });
    } else if (hard !== -1 && (soft > hard || soft === -1)) {
      reportAt(scope, at, {
        code: "pipeline/invalid-limit",
        message: `The soft limit of \`${name}\` exceeds its hard limit`,
        fix: "Lower `soft`, or raise `hard`.",
      });
    }
  }
}

function lintHosts({ scope }: LintContext, { path, settings, file }: Item): void {
  if (scope.tainted([...path, "extra_hosts"])) return;
  const isList = nodeAt(scope.root, [...path, "extra_hosts"])?.kind === "list";
  settings.extraHosts.forEach((entry, index) => {
    const colon = entry.indexOf(":");
    const [host, address] = [entry.slice(0, colon), entry.slice(colon + 1)];
    if (/^[\w.-]+$/.test(host) && (isIP(address) !== 0 || address === "host-gateway")) return;
    const whole = isList && Array.isArray(file.extra_hosts) && file.extra_hosts.length === settings.extraHosts.length;
    reportAt(scope, [...path, "extra_hosts", ...(whole ? [index] : isList ? [] : [host])], {
      code: "pipeline/invalid-extra-host",
      message: /^[\w.-]+$/.test(host)
        ? `Invalid IP address ${JSON.stringify(address)}`
        : `Invalid host name ${JSON.stringify(host)}`,
      fix: "Write a host name and an IP address, or `host-gateway` for the Docker host.",
    });
  });
}
