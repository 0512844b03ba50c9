import { networkName } from "../resources/names.ts";
import { environmentList, LOG_CONFIG } from "./container-settings.ts";
import {
  CONTROL_PLANE_GRPC_PORT,
  CONTROL_PLANE_HTTP_PORT,
  type ContainerSpec,
  DATA_DIRECTORY,
  type EngineMount,
  FLOWCTL_USER,
  IDENTITY_DIRECTORY,
  type ImageFacts,
  PACKAGE_DIRECTORY,
  QUICK_START,
  type SpecContext,
  TEMPORARY_FILES,
  UNPRIVILEGED,
} from "./container-spec.ts";
import { ENGINE_ACCESS_SOCKET, engineAccessMount } from "./engine-access-container.ts";

/** The container of the control plane. With `supervises` it restarts what hangs, through the engine access. */
export function controlPlaneContainer(context: SpecContext, image: ImageFacts, supervises: boolean): ContainerSpec {
  const { pipeline, options } = context;
  const grpc = `${CONTROL_PLANE_GRPC_PORT}/tcp`;
  const http = `${CONTROL_PLANE_HTTP_PORT}/tcp`;
  const mounts: EngineMount[] = [
    { Type: "volume", Source: controlPlaneVolume(pipeline.name), Target: DATA_DIRECTORY, ReadOnly: false },
    ...(supervises ? [engineAccessMount(pipeline.name)] : []),
  ];
  return {
    resource: "container",
    name: controlPlaneName(pipeline.name),
    image: image.name,
    body: {
      Image: image.reference,
      Entrypoint: ["node", `${PACKAGE_DIRECTORY}/dist/control-plane.js`],
      Env: environmentList({
        FLOWCTL_PIPELINE: pipeline.name,
        FLOWCTL_GRPC_LISTEN: `0.0.0.0:${CONTROL_PLANE_GRPC_PORT}`,
        FLOWCTL_HTTP_LISTEN: `0.0.0.0:${CONTROL_PLANE_HTTP_PORT}`,
        FLOWCTL_DATA_DIR: DATA_DIRECTORY,
        FLOWCTL_IDENTITY_DIR: IDENTITY_DIRECTORY,
        FLOWCTL_PERSISTENCE: options.persistence ? "leveldb" : "memory",
        FLOWCTL_LOG_LEVEL: options.logLevel,
        ...(supervises ? { FLOWCTL_ENGINE_ACCESS: ENGINE_ACCESS_SOCKET } : {}),
        ...(options.metrics === "token" ? { FLOWCTL_METRICS: "token" } : {}),
        // Its health check is the one of components: it asks this port.
        FLOWCTL_HEALTH_PORT: String(CONTROL_PLANE_HTTP_PORT),
      }),
      User: FLOWCTL_USER,
      StopTimeout: 10,
      // The engine starts a program in the container for each look. Whoever wants to know asks the control plane itself.
      Healthcheck: { Interval: 60e9, ...QUICK_START },
      ExposedPorts: { [grpc]: {}, [http]: {} },
      Labels: {},
      HostConfig: {
        ...UNPRIVILEGED,
        ReadonlyRootfs: true,
        Tmpfs: TEMPORARY_FILES,
        Mounts: mounts,
        PortBindings: {
          [grpc]: [{ HostIp: "127.0.0.1", HostPort: "" }],
          [http]: [{ HostIp: "127.0.0.1", HostPort: "" }],
        },
        // Not `unless-stopped`: an engine that was killed stops at its next start what still runs, and takes that for a stop by
        // hand. One that comes back although the pipeline was stopped starts nothing: what is desired is in its store.
        RestartPolicy: { Name: "always", MaximumRetryCount: 0 },
        LogConfig: LOG_CONFIG,
      },
    },
    networks: [{ name: networkName(pipeline, "default"), aliases: ["control-plane"] }],
    files: [],
    owned: [],
    hostFolders: [],
    hostFiles: [],
  };
}

/** Name of the control plane's container. */
export function controlPlaneName(pipeline: string): string {
  return `flowctl_${pipeline}_control-plane`;
}

/** Name of the volume with the control plane's state. */
export function controlPlaneVolume(pipeline: string): string {
  return `flowctl_${pipeline}_control-plane`;
}
