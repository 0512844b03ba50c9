import type { ContainerSettings, Healthcheck, Pipeline } from "../../../pipeline/pipeline.ts";
import { grantsOf } from "../../grants.ts";
import { networkName, volumeName } from "../resources/names.ts";
import type { ContainerBody, EngineMount, ImageFacts, NetworkAttachment, SpecContext } from "./container-spec.ts";
import { volumeFolderOf } from "./file-places.ts";

/** Volumes that the container needs and the file does not name: key → path in the container. */
export function unnamedVolumes(settings: ContainerSettings, image: ImageFacts): readonly string[] {
  const mounted = new Set([...settings.mounts.map((mount) => mount.target), ...settings.tmpfs.map(tmpfsPath)]);
  const anonymous = settings.mounts.filter((mount) => mount.type === "volume" && mount.source === undefined);
  return [...anonymous.map((mount) => mount.target), ...image.volumes.filter((path) => !mounted.has(path))];
}

/** Name of the volume that stands for an anonymous one, so that it can be found, kept and removed. */
export function unnamedVolumeName(pipeline: string, instance: string, path: string): string {
  return `flowctl_${pipeline}_${instance}_${path.replace(/[^a-zA-Z0-9]+/g, "-").replace(/^-|-$/g, "")}`;
}

/**
 * Keeps `flowctl logs` working whatever the engine's default is, and a chatty component from filling the disk. The
 * json-file driver would break characters at every 16 KiB of a line.
 */
export const LOG_CONFIG = { Type: "local", Config: { "max-size": "20m", "max-file": "3" } } as const;

/** What the Compose keys of a component or service say, as the engine wants it. */
export function settingsBody(
  context: SpecContext,
  settings: ContainerSettings,
  instance: string,
  image: ImageFacts,
  environment: Readonly<Record<string, string>>,
): ContainerBody {
  const { pipeline } = context;
  const exposed = settings.ports.map((port) => `${port.target}/${port.protocol}`);
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of settings.ports) {
    const target = `${port.target}/${port.protocol}`;
    const binding = { HostIp: port.hostIp, HostPort: port.published === undefined ? "" : String(port.published) };
    bindings[target] = [...(bindings[target] ?? []), binding];
  }
  const healthcheck = engineHealthcheck(settings.healthcheck);
  const { limits, reservations } = settings;
  return {
    Image: image.reference,
    ...(settings.entrypoint === undefined ? {} : { Entrypoint: emptyResets(settings.entrypoint) }),
    ...(settings.command === undefined ? {} : { Cmd: settings.command }),
    Env: environmentList(environment),
    ...(settings.workingDir === undefined ? {} : { WorkingDir: settings.workingDir }),
    StopTimeout: Math.ceil(settings.stopGracePeriodMs / 1000),
    ...(healthcheck === undefined ? {} : { Healthcheck: healthcheck }),
    ...(exposed.length === 0 ? {} : { ExposedPorts: Object.fromEntries(exposed.map((port) => [port, {}])) }),
    Labels: settings.labels,
    HostConfig: {
      Mounts: [...settingsMounts(pipeline, settings, instance, image), ...fileMounts(settings)],
      PortBindings: bindings,
      RestartPolicy: { Name: settings.restart.name, MaximumRetryCount: settings.restart.maxRetries ?? 0 },
      LogConfig: LOG_CONFIG,
      ReadonlyRootfs: settings.readOnly,
      ...(settings.tmpfs.length === 0 ? {} : { Tmpfs: Object.fromEntries(settings.tmpfs.map(tmpfsEntry)) }),
      ...(settings.extraHosts.length === 0 ? {} : { ExtraHosts: settings.extraHosts.map(extraHost) }),
      ...(limits.cpus === undefined ? {} : { NanoCpus: Math.round(limits.cpus * 1e9) }),
      ...(limits.memoryBytes === undefined ? {} : { Memory: limits.memoryBytes }),
      ...(limits.pids === undefined ? {} : { PidsLimit: limits.pids }),
      ...(reservations.memoryBytes === undefined ? {} : { MemoryReservation: reservations.memoryBytes }),
      ...(Object.keys(settings.ulimits).length === 0 ? {} : { Ulimits: ulimits(settings.ulimits) }),
    },
  };
}

function settingsMounts(
  pipeline: Pipeline,
  settings: ContainerSettings,
  instance: string,
  image: ImageFacts,
): EngineMount[] {
  const named = settings.mounts
    .filter((mount) => mount.type !== "volume" || mount.source !== undefined)
    .map((mount): EngineMount => {
      const common = { Target: mount.target, ReadOnly: mount.readOnly };
      if (mount.type === "tmpfs") return { Type: "tmpfs", Source: "", ...common };
      if (mount.type === "volume") {
        return { Type: "volume", Source: volumeName(pipeline, mount.source ?? ""), ...common };
      }
      return { Type: "bind", Source: mount.source ?? "", ...common, BindOptions: { CreateMountpoint: true } };
    });
  const unnamed = unnamedVolumes(settings, image).map((path): EngineMount => {
    return { Type: "volume", Source: unnamedVolumeName(pipeline.name, instance, path), Target: path, ReadOnly: false };
  });
  return [...named, ...unnamed];
}

/**
 * Secrets are in a volume, which goes with the container, and not in its writable layer, which is what `docker commit` and `export`
 * copy. Files can be put into a read-only container only where a volume is mounted, too.
 */
function fileMounts(settings: ContainerSettings): EngineMount[] {
  const mounted = new Set(settings.mounts.map((mount) => mount.target));
  const folders = new Set(grantsOf(settings).map((file) => volumeFolderOf(file, settings.readOnly)));
  return [...folders]
    .filter((folder) => folder !== undefined)
    .filter((folder) => folder !== "/" && !mounted.has(folder))
    .map((folder) => ({ Type: "volume", Source: "", Target: folder, ReadOnly: false }));
}

/** Its networks, the pipeline's own among them, with the names that others find it by there. */
export function attachments(
  pipeline: Pipeline,
  settings: ContainerSettings,
  aliases: readonly string[],
): NetworkAttachment[] {
  const keys = new Set(["default", ...settings.networks]);
  return [...keys].map((key) => ({ name: networkName(pipeline, key), aliases: [...new Set(aliases)] }));
}

function engineHealthcheck(healthcheck: Healthcheck | undefined): Readonly<Record<string, unknown>> | undefined {
  if (healthcheck === undefined) return undefined;
  if (healthcheck.disable) return { Test: ["NONE"] };
  const nanoseconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms * 1e6);
  const all = {
    Test: healthcheck.test,
    Interval: nanoseconds(healthcheck.intervalMs),
    Timeout: nanoseconds(healthcheck.timeoutMs),
    StartPeriod: nanoseconds(healthcheck.startPeriodMs),
    StartInterval: nanoseconds(healthcheck.startIntervalMs),
    Retries: healthcheck.retries,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** `NAME=value` of each variable. */
export function environmentList(environment: Readonly<Record<string, string>>): string[] {
  return Object.entries(environment).map(([name, value]) => `${name}=${value}`);
}

/** An empty entrypoint takes the image's away; the engine wants it as one empty word. */
function emptyResets(entrypoint: readonly string[]): readonly string[] {
  return entrypoint.length === 0 ? [""] : entrypoint;
}

function tmpfsPath(text: string): string {
  return text.split(":")[0] ?? text;
}

function tmpfsEntry(text: string): [string, string] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** The engine knows only `host:address`. */
function extraHost(text: string): string {
  return /^[^:=]+=/.test(text) ? text.replace("=", ":") : text;
}

function ulimits(limits: ContainerSettings["ulimits"]): readonly object[] {
  return Object.entries(limits).map(([Name, { soft, hard }]) => ({ Name, Soft: soft, Hard: hard }));
}
