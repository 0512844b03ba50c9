import { hostPathsOf } from "../../../pipeline/host-paths.ts";
import type { Component, Pipeline } from "../../../pipeline/pipeline.ts";
import { componentEnvironment } from "../../component-environment.ts";
import { grantsOf } from "../../grants.ts";
import { instanceId } from "../../identity.ts";
import { instanceContainerName, stateVolumeName } from "../resources/names.ts";
import { attachments, settingsBody } from "./container-settings.ts";
import {
  CONTROL_PLANE_GRPC_PORT,
  type ContainerSpec,
  DATA_DIRECTORY,
  type EngineMount,
  FLOWCTL_USER,
  HEALTH_PORT,
  type ImageFacts,
  isRoot,
  JOINING_FILES,
  PACKAGE_DIRECTORY,
  QUICK_START,
  RUN_DIRECTORY,
  SECRETS_DIRECTORY,
  type SpecContext,
  STATE_DIRECTORY,
  STREAM_PORT,
  TEMPORARY_FILES,
  UNPRIVILEGED,
} from "./container-spec.ts";
import type { HostAccess } from "./host-user.ts";

/**
 * The container of one component instance: without capabilities, not as root unless the file says so.
 * `hostUser` is who may use the host folders that are mounted for it.
 */
export function componentContainer(
  context: SpecContext,
  component: Component,
  index: number,
  image: ImageFacts,
  host: HostAccess,
): ContainerSpec {
  const { pipeline } = context;
  const instance = instanceId(component.id, index);
  const user = component.user ?? host.user ?? (isRoot(image.user) ? FLOWCTL_USER : undefined);
  const ownState = component.uses === undefined || (user ?? FLOWCTL_USER) !== FLOWCTL_USER;
  const environment = componentEnvironment(pipeline, component, {
    index,
    controlPlane: `control-plane:${CONTROL_PLANE_GRPC_PORT}`,
    listen: `0.0.0.0:${STREAM_PORT}`,
    advertise: `${instanceHost(pipeline, component, index)}:${STREAM_PORT}`,
    healthPort: HEALTH_PORT,
    stateDirectory: STATE_DIRECTORY,
    secretsDirectory: SECRETS_DIRECTORY,
    identity: JOINING_FILES,
    logLevel: context.options.logLevel,
  });
  if (component.uses !== undefined) Object.assign(environment, memoryNodeOptions(component));
  const state: EngineMount[] = [
    // In a read-only container a folder can be given to its user only where the folder above it is a volume as well.
    ...(ownState && component.readOnly ? [volume("", DATA_DIRECTORY)] : []),
    volume(stateVolumeName(pipeline.name, instance), STATE_DIRECTORY),
    volume("", RUN_DIRECTORY),
  ];
  const hostPaths = hostPathsOf(component, index);
  const binds = hostPaths.map(({ path, access }): EngineMount => {
    return { Type: "bind", Source: path, Target: path, ReadOnly: access === "read" };
  });
  const body = settingsBody(context, component, instance, image, environment);
  const mounts = [...state, ...binds, ...body.HostConfig.Mounts];
  return {
    resource: "container",
    name: instanceContainerName(pipeline.name, component.id, index),
    image: image.name,
    body: {
      ...body,
      ...(component.uses === undefined
        ? {}
        : {
            Entrypoint: ["node", "--use-openssl-ca", `${PACKAGE_DIRECTORY}/dist/component.js`],
            Cmd: [component.uses],
            Healthcheck: { ...checkOf(component, pipeline), ...body.Healthcheck },
          }),
      ...(user === undefined ? {} : { User: user }),
      HostConfig: {
        ...body.HostConfig,
        ...UNPRIVILEGED,
        ...(component.limits.pids === undefined ? {} : { PidsLimit: component.limits.pids }),
        ...temporaryFiles(component, mounts, body.HostConfig.Tmpfs),
        Mounts: mounts,
      },
    },
    networks: attachments(pipeline, component, [component.id, instance]),
    files: grantsOf(component),
    owned: [
      ...(ownState ? [STATE_DIRECTORY] : []),
      ...(component.readOnly ? [] : writableVolumes(pipeline, component)),
    ],
    hostFolders: host.folders,
    hostFiles: host.files.filter((file) => hostPaths.some(({ path }) => path === file.path)),
    joins: { component: component.id, instance },
  };
}

function volume(source: string, target: string): EngineMount {
  return { Type: "volume", Source: source, Target: target, ReadOnly: false };
}

/** A built-in can write temporary files although its root is read-only; images of others are as in Compose. */
function temporaryFiles(
  { uses, readOnly }: Component,
  mounts: readonly EngineMount[],
  tmpfs: unknown = {},
): { readonly Tmpfs?: unknown } {
  const isTaken = mounts.some(({ Target }) => Target in TEMPORARY_FILES);
  return uses === undefined || !readOnly || isTaken ? {} : { Tmpfs: { ...TEMPORARY_FILES, ...(tmpfs as object) } };
}

/**
 * The engine starts a program for each look, which costs more than an idle component: it looks often only at what something
 * waits for. The control plane asks components itself, over HTTP.
 */
function checkOf(component: Component, pipeline: Pipeline): Readonly<Record<string, unknown>> {
  const parts = [...pipeline.components, ...pipeline.services];
  const awaited = parts.some(({ dependsOn }) => dependsOn[component.id]?.condition === "service_healthy");
  return { Interval: 60e9, ...(awaited ? QUICK_START : { StartInterval: 20e9 }) };
}

/** Named volumes that flowctl makes are root's; the component's user has to be able to write to them. */
function writableVolumes(pipeline: Pipeline, component: Component): string[] {
  return component.mounts
    .filter((mount) => mount.type === "volume" && !mount.readOnly)
    .filter((mount) => mount.source === undefined || pipeline.volumes[mount.source]?.external !== true)
    .map((mount) => mount.target);
}

/** The name that others dial: the instance's id, unless a component or service of that very id exists. */
function instanceHost(pipeline: Pipeline, component: Component, index: number): string {
  const instance = instanceId(component.id, index);
  const taken = [...pipeline.components, ...pipeline.services].some((other) => other.id === instance);
  return taken ? instanceContainerName(pipeline.name, component.id, index) : instance;
}

/** Share of a container's memory that V8's old space may take; the rest is for buffers, stacks and code. */
const HEAP_SHARE = 0.75;

/**
 * `NODE_OPTIONS` that keep a Node program below its container's memory limit, so that it collects garbage instead of
 * being killed. What the file says in `NODE_OPTIONS` comes last and wins. Empty without a limit.
 */
function memoryNodeOptions(
  component: Pick<Component, "limits" | "environment">,
): { NODE_OPTIONS: string } | Record<string, never> {
  const { memoryBytes } = component.limits;
  if (memoryBytes === undefined) return {};
  const heap = `--max-old-space-size=${Math.max(16, Math.floor((memoryBytes * HEAP_SHARE) / 1024 / 1024))}`;
  const own = component.environment.NODE_OPTIONS;
  return { NODE_OPTIONS: own ? `${heap} ${own}` : heap };
}
