import { environmentList, LOG_CONFIG } from "./container-settings.ts";
import {
  type ContainerSpec,
  DATA_DIRECTORY,
  type EngineMount,
  FLOWCTL_USER,
  type ImageFacts,
  PACKAGE_DIRECTORY,
  RUN_DIRECTORY,
  type SpecContext,
  UNPRIVILEGED,
} from "./container-spec.ts";

/** The engine's socket, and the group that may use it. */
export interface EngineSocket {
  readonly path: string;
  readonly group?: string;
}

/** Where the control plane finds the engine access. */
export const ENGINE_ACCESS_SOCKET = `${RUN_DIRECTORY}/engine-access.sock`;

/** Where that listens: the image has this folder for its user, and a new volume is given to whom the image has it for. */
const OWN_SOCKET = `${DATA_DIRECTORY}/engine-access.sock`;

/** Node.js has eleven threads. */
const PIDS_LIMIT = 64;
/** Several times of what it needs: one that is made to take more is ended, and started again. */
const MEMORY_LIMIT = 128 * 1024 * 1024;

/**
 * The container that has the engine's socket, and does with it what the control plane of the same pipeline may ask for. It has no
 * network: nothing reaches it but through a volume that it shares with the control plane.
 */
export function engineAccessContainer(
  { pipeline }: SpecContext,
  image: ImageFacts,
  socket: EngineSocket,
): ContainerSpec {
  return {
    resource: "container",
    name: engineAccessName(pipeline.name),
    image: image.name,
    body: {
      Image: image.reference,
      Entrypoint: ["node", `${PACKAGE_DIRECTORY}/dist/engine-access.js`],
      Env: environmentList({
        FLOWCTL_PIPELINE: pipeline.name,
        FLOWCTL_ENGINE_ACCESS: OWN_SOCKET,
      }),
      User: FLOWCTL_USER,
      StopTimeout: 10,
      // The control plane says when it does not answer.
      Healthcheck: { Test: ["NONE"] },
      Labels: {},
      HostConfig: {
        ...UNPRIVILEGED,
        PidsLimit: PIDS_LIMIT,
        Memory: MEMORY_LIMIT,
        NetworkMode: "none",
        ReadonlyRootfs: true,
        Mounts: [
          { ...engineAccessMount(pipeline.name), Target: DATA_DIRECTORY, ReadOnly: false },
          { Type: "bind", Source: socket.path, Target: "/var/run/docker.sock", ReadOnly: false },
        ],
        // As the control plane.
        RestartPolicy: { Name: "always", MaximumRetryCount: 0 },
        LogConfig: LOG_CONFIG,
        ...(socket.group === undefined ? {} : { GroupAdd: [socket.group] }),
      },
    },
    networks: [],
    files: [],
    owned: [],
    hostFolders: [],
    hostFiles: [],
  };
}

/** The volume with its socket, as the control plane has it: what is there, and whoever else opens it, is not for that to say. */
export function engineAccessMount(pipeline: string): EngineMount {
  return { Type: "volume", Source: engineAccessVolume(pipeline), Target: RUN_DIRECTORY, ReadOnly: true };
}

/** Name of the container. */
export function engineAccessName(pipeline: string): string {
  return `flowctl_${pipeline}_engine-access`;
}

/** Name of that volume. */
export function engineAccessVolume(pipeline: string): string {
  return `flowctl_${pipeline}_engine-access`;
}
