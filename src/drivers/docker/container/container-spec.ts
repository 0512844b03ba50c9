import type { JoiningFiles } from "../../../identity/joining-files.ts";
import type { Pipeline } from "../../../pipeline/pipeline.ts";
import type { DeploymentOptions } from "../../driver.ts";
import type { Grant } from "../../grants.ts";

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
  readonly files: readonly Grant[];
  /** Folders in the container, mounted from volumes, that its user has to own. */
  readonly owned: readonly string[];
  /** Folders of this machine that are made when they are not there. */
  readonly hostFolders: readonly HostFolder[];
  /** Files of this machine that are made, empty, when they are not there: before each start, as the engine mounts them. */
  readonly hostFiles: readonly HostFile[];
  /** The instance that the container runs, which is given what it joins with before it starts; absent for what joins nothing. */
  readonly joins?: { readonly component: string; readonly instance: string };
  /** Id of the authority that the program in it trusts; absent for what joins nothing. */
  readonly authority?: string;
}

export interface NetworkAttachment {
  readonly name: string;
  readonly aliases: readonly string[];
}

export interface HostFolder {
  readonly path: string;
  readonly uid?: number;
  readonly gid?: number;
}

export type HostFile = HostFolder;

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
/** In the volume of the control plane. */
export const IDENTITY_DIRECTORY = `${DATA_DIRECTORY}/identity`;
/** A volume of the container's own, in which a folder can be given to its user. */
export const RUN_DIRECTORY = "/run/flowctl";
/** What an instance joins with, in its container. */
export const JOINING_FILES: JoiningFiles = {
  ca: `${RUN_DIRECTORY}/identity/ca.pem`,
  certificate: `${RUN_DIRECTORY}/identity/joining.pem`,
  key: `${RUN_DIRECTORY}/identity/joining.pem`,
};
export const PACKAGE_DIRECTORY = "/opt/flowctl";
export const STREAM_PORT = 50051;
export const HEALTH_PORT = 8088;
export const CONTROL_PLANE_GRPC_PORT = 8080;
export const CONTROL_PLANE_HTTP_PORT = 8081;

/** Whether a user, as an image or a file gives it, is root. */
export function isRoot(user: string): boolean {
  return ["", "0", "root"].includes(user.split(":")[0] ?? "");
}

/** Looks often at what is starting. Not in the image, because engines before version 25 could not build it then. */
export const QUICK_START = { StartInterval: 2e9 } as const;

/** Processes and threads of a container, where the file sets no limit: a program that runs away takes nothing else with it. */
const PIDS_LIMIT = 512;

/** What no part of flowctl and no component needs, it does not get. */
export const UNPRIVILEGED = {
  CapDrop: ["ALL"],
  SecurityOpt: ["no-new-privileges:true"],
  Init: true,
  PidsLimit: PIDS_LIMIT,
} as const;

/** What is written for a while goes to memory in a container of flowctl's own, whose root is read-only. */
export const TEMPORARY_FILES = { "/tmp": "size=64m,mode=1777" } as const;
