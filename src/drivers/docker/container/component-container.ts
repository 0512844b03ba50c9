import type { Component, Pipeline } from "../../../pipeline/pipeline.ts";
import { componentEnvironment } from "../../component-environment.ts";
import { grantsOf } from "../../grants.ts";
import { instanceId } from "../../identity.ts";
import { instanceContainerName, stateVolumeName } from "../resources/names.ts";
import { attachments, settingsBody } from "./container-settings.ts";
import {
  CONTROL_PLANE_GRPC_PORT,
  type ContainerSpec,
  type EngineMount,
  FLOWCTL_USER,
  HEALTH_PORT,
  type HostFolder,
  type ImageFacts,
  isRoot,
  PACKAGE_DIRECTORY,
  QUICK_START,
  SECRETS_DIRECTORY,
  type SpecContext,
  STATE_DIRECTORY,
  STREAM_PORT,
  UNPRIVILEGED,
} from "./container-spec.ts";

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
            Entrypoint: ["node", "--use-openssl-ca", `${PACKAGE_DIRECTORY}/dist/component.js`],
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
    files: grantsOf(component),
    owned: [...(ownState ? [stateDirectory] : []), ...(component.readOnly ? [] : writableVolumes(pipeline, component))],
    hostFolders: host.folders,
  };
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
