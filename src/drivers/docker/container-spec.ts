import { posix } from "node:path";
import type {
  Component,
  ContainerSettings,
  FileGrant,
  Healthcheck,
  Pipeline,
  Service,
} from "../../pipeline/pipeline.ts";
import { componentEnvironment, instanceId } from "../component-environment.ts";
import type { DeploymentOptions } from "../driver.ts";
import { instanceContainerName, networkName, stateVolumeName, volumeName } from "./names.ts";
import { memoryNodeOptions } from "./node-options.ts";

/** Everything that is needed to make one container; plain data without secret values. */
export interface ContainerSpec {
  readonly resource: "container";
  readonly name: string;
  /** The image as people know it; the body names it by its id. */
  readonly image: string;
  /** Body of the engine's create request, without labels and networks. */
  readonly body: ContainerBody;
  readonly networks: readonly NetworkAttachment[];
  /** Written into the container before it starts. */
  readonly files: readonly GrantedFile[];
  /** Folders in the container, mounted from volumes, that its user has to own. */
  readonly owned: readonly string[];
  /** Folders of this machine that are made when they are not there. */
  readonly hostFolders: readonly HostFolder[];
}

export interface NetworkAttachment {
  readonly name: string;
  readonly aliases: readonly string[];
}

export interface GrantedFile {
  readonly kind: "secret" | "config";
  readonly source: string;
  readonly target: string;
  readonly mode?: number;
  readonly uid?: string;
  readonly gid?: string;
}

export interface HostFolder {
  readonly path: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface EngineMount {
  readonly Type: "bind" | "volume" | "tmpfs";
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
  readonly BindOptions?: { readonly CreateMountpoint: boolean };
}

/** The part of the engine's container configuration that flowctl uses. */
export interface ContainerBody {
  readonly Image: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly StopTimeout: number;
  readonly Healthcheck?: Readonly<Record<string, unknown>>;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Labels: Readonly<Record<string, string>>;
  readonly HostConfig: Readonly<Record<string, unknown>> & { readonly Mounts: readonly EngineMount[] };
}

/** What is known of an image that a container is made from. */
export interface ImageFacts {
  /** The reference that people know it by. */
  readonly name: string;
  /** Image id, or the reference as long as the image is not there. */
  readonly reference: string;
  /** `Config.User`; empty for root. */
  readonly user: string;
  /** Paths that the image declares as volumes. */
  readonly volumes: readonly string[];
  readonly healthcheck: boolean;
}

export interface SpecContext {
  readonly pipeline: Pipeline;
  readonly options: DeploymentOptions;
}

/** User of the flowctl image, and of images that would run as root. */
export const FLOWCTL_USER = "10001:10001";
export const STATE_DIRECTORY = "/var/lib/flowctl/state";
export const SECRETS_DIRECTORY = "/run/secrets";
export const DATA_DIRECTORY = "/var/lib/flowctl";
export const PACKAGE_DIRECTORY = "/opt/flowctl";
export const STREAM_PORT = 50051;
export const HEALTH_PORT = 8088;
export const CONTROL_PLANE_GRPC_PORT = 8080;
export const CONTROL_PLANE_HTTP_PORT = 8081;

/** Whether a user, as an image or a file gives it, is root. */
export function isRoot(user: string): boolean {
  return ["", "0", "root"].includes(user.split(":")[0] ?? "");
}

/**
 * The container of one component instance: without capabilities, not as root unless the file says so.
 * `hostUser` is who may use the host folders that are mounted for it.
 */
export function componentContainer(
  context: SpecContext,
  component: Component,
  index: number,
  image: ImageFacts,
  host: { readonly user?: string; readonly folders: readonly HostFolder[] },
): ContainerSpec {
  const { pipeline } = context;
  const instance = instanceId(component.id, index);
  const user = component.user ?? host.user ?? (isRoot(image.user) ? FLOWCTL_USER : undefined);
  const ownState = component.uses === undefined || (user ?? FLOWCTL_USER) !== FLOWCTL_USER;
  // In a read-only container only what lies inside a volume can be prepared, not the volume's own root.
  const stateDirectory = ownState && component.readOnly ? `${STATE_DIRECTORY}/data` : STATE_DIRECTORY;
  const environment = componentEnvironment(pipeline, component, {
    index,
    controlPlane: `control-plane:${CONTROL_PLANE_GRPC_PORT}`,
    listen: `0.0.0.0:${STREAM_PORT}`,
    advertise: `${instanceHost(pipeline, component, index)}:${STREAM_PORT}`,
    healthPort: HEALTH_PORT,
    stateDirectory,
    secretsDirectory: SECRETS_DIRECTORY,
    logLevel: context.options.logLevel,
  });
  if (component.uses !== undefined) Object.assign(environment, memoryNodeOptions(component));
  const state: EngineMount = {
    Type: "volume",
    Source: stateVolumeName(pipeline.name, instance),
    Target: STATE_DIRECTORY,
    ReadOnly: false,
  };
  const folders = component.hostPaths.map(({ path, access }): EngineMount => {
    return { Type: "bind", Source: path, Target: path, ReadOnly: access === "read" };
  });
  const body = settingsBody(context, component, instance, image, environment);
  return {
    resource: "container",
    name: instanceContainerName(pipeline.name, component.id, index),
    image: image.name,
    body: {
      ...body,
      ...(component.uses === undefined
        ? {}
        : {
            Entrypoint: ["node", `${PACKAGE_DIRECTORY}/dist/component.js`],
            Cmd: [component.uses],
            Healthcheck: { ...checkOf(component, pipeline), ...body.Healthcheck },
          }),
      ...(user === undefined ? {} : { User: user }),
      HostConfig: {
        ...body.HostConfig,
        ...UNPRIVILEGED,
        Mounts: [state, ...folders, ...body.HostConfig.Mounts],
      },
    },
    networks: attachments(pipeline, component, [component.id, instance]),
    files: grantedFiles(component),
    owned: [...(ownState ? [stateDirectory] : []), ...(component.readOnly ? [] : writableVolumes(pipeline, component))],
    hostFolders: host.folders,
  };
}

/** The container of a service: a plain Compose service, with the engine's default capabilities. */
export function serviceContainer(context: SpecContext, service: Service, image: ImageFacts): ContainerSpec {
  const { pipeline } = context;
  const instance = instanceId(service.id, 1);
  return {
    resource: "container",
    name: instanceContainerName(pipeline.name, service.id, 1),
    image: image.name,
    body: {
      ...settingsBody(context, service, instance, image, service.environment),
      ...(service.user === undefined ? {} : { User: service.user }),
    },
    networks: attachments(pipeline, service, [service.id, instance]),
    // As in Compose: a service's program may well read them as another user than it starts as.
    files: grantedFiles(service).map((file) => ({ mode: 0o444, ...file })),
    owned: [],
    hostFolders: [],
  };
}

/** The container of the control plane. `socket` is the engine's, for restarting hung instances. */
export function controlPlaneContainer(
  context: SpecContext,
  image: ImageFacts,
  socket: { readonly path: string; readonly group?: string } | undefined,
): ContainerSpec {
  const { pipeline, options } = context;
  const grpc = `${CONTROL_PLANE_GRPC_PORT}/tcp`;
  const http = `${CONTROL_PLANE_HTTP_PORT}/tcp`;
  const mounts: EngineMount[] = [
    { Type: "volume", Source: controlPlaneVolume(pipeline.name), Target: DATA_DIRECTORY, ReadOnly: false },
    ...(socket === undefined
      ? []
      : [{ Type: "bind", Source: socket.path, Target: "/var/run/docker.sock", ReadOnly: false } as const]),
  ];
  return {
    resource: "container",
    name: `flowctl_${pipeline.name}_control-plane`,
    image: image.name,
    body: {
      Image: image.reference,
      Entrypoint: ["node", `${PACKAGE_DIRECTORY}/dist/control-plane.js`],
      Env: environmentList({
        FLOWCTL_PIPELINE: pipeline.name,
        FLOWCTL_GRPC_LISTEN: `0.0.0.0:${CONTROL_PLANE_GRPC_PORT}`,
        FLOWCTL_HTTP_LISTEN: `0.0.0.0:${CONTROL_PLANE_HTTP_PORT}`,
        FLOWCTL_DATA_DIR: DATA_DIRECTORY,
        FLOWCTL_PERSISTENCE: options.persistence ? "leveldb" : "memory",
        FLOWCTL_LOG_LEVEL: options.logLevel,
        // Its health check is the one of components: it asks this port.
        FLOWCTL_HEALTH_PORT: String(CONTROL_PLANE_HTTP_PORT),
      }),
      User: FLOWCTL_USER,
      StopTimeout: 10,
      Healthcheck: QUICK_START,
      ExposedPorts: { [grpc]: {}, [http]: {} },
      Labels: {},
      HostConfig: {
        ...UNPRIVILEGED,
        Mounts: mounts,
        PortBindings: {
          [grpc]: [{ HostIp: "127.0.0.1", HostPort: "" }],
          [http]: [{ HostIp: "127.0.0.1", HostPort: "" }],
        },
        RestartPolicy: { Name: "unless-stopped", MaximumRetryCount: 0 },
        LogConfig: LOG_CONFIG,
        ...(socket?.group === undefined ? {} : { GroupAdd: [socket.group] }),
      },
    },
    networks: [{ name: networkName(pipeline, "default"), aliases: ["control-plane"] }],
    files: [],
    owned: [],
    hostFolders: [],
  };
}

/** Name of the volume with the control plane's state. */
export function controlPlaneVolume(pipeline: string): string {
  return `flowctl_${pipeline}_control-plane`;
}

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

/** Looks often at what is starting. Not in the image, because engines before version 25 could not build it then. */
const QUICK_START = { StartInterval: 2e9 } as const;

/**
 * The engine starts a program for each look, which costs more than an idle component: it looks often only at what something
 * waits for. The control plane asks components itself, over HTTP.
 */
function checkOf(component: Component, pipeline: Pipeline): Readonly<Record<string, unknown>> {
  const parts = [...pipeline.components, ...pipeline.services];
  const awaited = parts.some(({ dependsOn }) => dependsOn[component.id]?.condition === "service_healthy");
  return { Interval: 60e9, ...(awaited ? QUICK_START : { StartInterval: 20e9 }) };
}

const UNPRIVILEGED = { CapDrop: ["ALL"], SecurityOpt: ["no-new-privileges:true"], Init: true } as const;

/**
 * Keeps `flowctl logs` working whatever the engine's default is, and a chatty component from filling the disk. The
 * json-file driver would break characters at every 16 KiB of a line.
 */
const LOG_CONFIG = { Type: "local", Config: { "max-size": "20m", "max-file": "3" } } as const;

function settingsBody(
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
      Mounts: [...settingsMounts(pipeline, settings, instance, image), ...readOnlyFileMounts(settings)],
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

/** Files can be put into a read-only container only where a volume is mounted; it goes with the container. */
function readOnlyFileMounts(settings: ContainerSettings): EngineMount[] {
  if (!settings.readOnly) return [];
  const mounted = new Set(settings.mounts.map((mount) => mount.target));
  const folders = new Set(grantedFiles(settings).map((file) => posix.dirname(file.target)));
  return [...folders]
    .filter((folder) => folder !== "/" && !mounted.has(folder))
    .map((folder) => ({ Type: "volume", Source: "", Target: folder, ReadOnly: false }));
}

function grantedFiles(settings: ContainerSettings): GrantedFile[] {
  const granted = (kind: GrantedFile["kind"], grant: FileGrant): GrantedFile => ({
    kind,
    source: grant.source,
    target: grant.target,
    ...(grant.mode === undefined ? {} : { mode: grant.mode }),
    ...(grant.uid === undefined ? {} : { uid: grant.uid }),
    ...(grant.gid === undefined ? {} : { gid: grant.gid }),
  });
  return [
    ...settings.secrets.map((grant) => granted("secret", grant)),
    ...settings.configs.map((grant) => granted("config", grant)),
  ];
}

/** Named volumes that flowctl makes are root's; the component's user has to be able to write to them. */
function writableVolumes(pipeline: Pipeline, component: Component): string[] {
  return component.mounts
    .filter((mount) => mount.type === "volume" && !mount.readOnly)
    .filter((mount) => mount.source === undefined || pipeline.volumes[mount.source]?.external !== true)
    .map((mount) => mount.target);
}

function attachments(pipeline: Pipeline, settings: ContainerSettings, aliases: readonly string[]): NetworkAttachment[] {
  const keys = new Set(["default", ...settings.networks]);
  return [...keys].map((key) => ({ name: networkName(pipeline, key), aliases: [...new Set(aliases)] }));
}

/** The name that others dial: the instance's id, unless a component or service of that very id exists. */
function instanceHost(pipeline: Pipeline, component: Component, index: number): string {
  const instance = instanceId(component.id, index);
  const taken = [...pipeline.components, ...pipeline.services].some((other) => other.id === instance);
  return taken ? instanceContainerName(pipeline.name, component.id, index) : instance;
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

function environmentList(environment: Readonly<Record<string, string>>): string[] {
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
