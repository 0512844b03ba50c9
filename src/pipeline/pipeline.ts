/**
 * The resolved pipeline: what a pipeline file means once everything in it was interpolated, merged, checked and given
 * its defaults. Immutable plain data that survives `JSON.stringify`; durations are in milliseconds, sizes in bytes,
 * paths absolute.
 */
export interface Pipeline {
  readonly name: string;
  /** As the file, `--driver` or `FLOWCTL_DRIVER` said; absent when flowctl is to choose. */
  readonly driver?: DriverName;
  /** Absolute folder that relative paths of the file are relative to. */
  readonly directory: string;
  /** Absolute paths of every file it was made from, the first one first. */
  readonly files: readonly string[];
  /** In the order of the file: sources, then processors, then sinks. Components of inactive profiles are left out. */
  readonly components: readonly Component[];
  readonly services: readonly Service[];
  readonly secrets: Readonly<Record<string, Secret>>;
  readonly configs: Readonly<Record<string, ConfigFile>>;
  readonly volumes: Readonly<Record<string, Volume>>;
  readonly networks: Readonly<Record<string, Network>>;
  /** Event type → where its schema is: a JSON Schema file, or `file.proto#package.Message`. */
  readonly schemas: Readonly<Record<string, string>>;
}

export type DriverName = "docker" | "process" | "kubernetes";
export type ComponentType = "source" | "processor" | "sink";

/** What runs one component. Which of `uses`, `image`/`build`, `command` it has decides on which drivers it can run. */
export interface Component extends ContainerSettings {
  readonly id: string;
  readonly type: ComponentType;
  /** Name of a built-in component. */
  readonly uses?: string;
  /**
   * The settings of the component, handed over in `FLOWCTL_CONFIG`. For a built-in checked by its schema; values
   * that the schema marks as paths are absolute.
   */
  readonly with: Readonly<Record<string, unknown>>;
  /** What of the host a built-in reads or writes because of paths in its `with`; no more than it needs. */
  readonly hostPaths: readonly HostPath[];
  readonly inputs: readonly Input[];
  /** Event types it takes and gives; empty when not declared, which means any. */
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  /** At least 1. */
  readonly replicas: number;
  readonly onError: OnError;
  /** Whether its processes have the whole environment in which the pipeline was started. Absent: false. */
  readonly inheritEnvironment?: boolean;
  /** A path into the event, such as `payload.customer`, whose value keeps its order and its instance. */
  readonly partitionBy?: string;
}

export interface Input {
  /** Component id of the upstream. */
  readonly from: string;
  /** Only these event types; empty means all. */
  readonly types: readonly string[];
  readonly buffer?: InputBuffer;
}

export interface InputBuffer {
  readonly type: "memory" | "disk";
  /** At least one of the two is set. */
  readonly maxEvents?: number;
  readonly maxBytes?: number;
  readonly whenFull: "block" | "drop_newest" | "drop_oldest";
}

export interface OnError {
  readonly action: "fail" | "retry" | "drop" | "dead_letter";
  /** Component id of the sink that dead letters go to. Set exactly when action is `dead_letter`. */
  readonly to?: string;
  /** Attempts after the first; 0 when not given and the action is not `retry`. */
  readonly retries: number;
  /** First delay of the exponential backoff. */
  readonly backoffMs: number;
}

/** A file or folder of the host, and whether the component writes to it. */
export interface HostPath {
  /** Absolute; `{instance}` in it stands for the number of the instance. */
  readonly path: string;
  readonly access: "read" | "write";
  /** A file is available alone, a folder with everything in it. */
  readonly kind: "file" | "folder";
  /** Of a folder: the project folder, the home directory or the like, which no component is given as a whole. */
  readonly isShared?: true;
}

/** The Compose keys that components and services share. Absent means Compose's default. */
export interface ContainerSettings {
  readonly image?: string;
  readonly build?: Build;
  /** argv. */
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  /** env_file, then environment; values are final. */
  readonly environment: Readonly<Record<string, string>>;
  readonly dependsOn: Readonly<Record<string, DependsOn>>;
  readonly healthcheck?: Healthcheck;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of networks besides the pipeline's own. */
  readonly networks: readonly string[];
  readonly ports: readonly PortMapping[];
  readonly mounts: readonly Mount[];
  readonly tmpfs: readonly string[];
  readonly secrets: readonly FileGrant[];
  readonly configs: readonly FileGrant[];
  readonly extraHosts: readonly string[];
  readonly pullPolicy?: "always" | "missing" | "never" | "build";
  /** Default: true for a built-in, else false, as in Compose. */
  readonly readOnly: boolean;
  /** As Compose; components default to `on-failure`, services to `no`. */
  readonly restart: RestartPolicy;
  readonly stopGracePeriodMs: number;
  readonly ulimits: Readonly<Record<string, { readonly soft: number; readonly hard: number }>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly limits: ResourceLimits;
  readonly reservations: ResourceLimits;
}

export interface Service extends ContainerSettings {
  readonly id: string;
  readonly replicas: 1;
}

export interface Build {
  /** Absolute folder. */
  readonly context: string;
  /** Relative to the context. */
  readonly dockerfile?: string;
  readonly dockerfileInline?: string;
  readonly args: Readonly<Record<string, string>>;
  readonly target?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly cacheFrom: readonly string[];
  readonly noCache: boolean;
  readonly pull: boolean;
  readonly network?: string;
}

export interface DependsOn {
  readonly condition: "service_started" | "service_healthy" | "service_completed_successfully";
  readonly required: boolean;
  readonly restart: boolean;
}

export interface Healthcheck {
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", "…"]`; absent keeps the image's own. */
  readonly test?: readonly string[];
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  readonly startPeriodMs?: number;
  readonly startIntervalMs?: number;
  readonly retries?: number;
  readonly disable: boolean;
}

export interface PortMapping {
  /** Default 127.0.0.1. */
  readonly hostIp: string;
  /** Absent: any free port. */
  readonly published?: number;
  readonly target: number;
  readonly protocol: "tcp" | "udp";
}

export interface Mount {
  readonly type: "bind" | "volume" | "tmpfs";
  /** Absolute host path for a bind, a key of `volumes` for a volume; absent for tmpfs and anonymous volumes. */
  readonly source?: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** A secret or config that a container gets as a file. */
export interface FileGrant {
  readonly source: string;
  /** Absolute in the container: `/run/secrets/<source>` or `/<source>` unless the file says otherwise. */
  readonly target: string;
  readonly mode?: number;
  readonly uid?: string;
  readonly gid?: string;
}

export interface RestartPolicy {
  readonly name: "no" | "always" | "on-failure" | "unless-stopped";
  /** Only for `on-failure`; absent means without end. */
  readonly maxRetries?: number;
}

export interface ResourceLimits {
  /** In cores. */
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly pids?: number;
}

/** Where a secret's value comes from. The value itself is never part of a Pipeline. */
export type Secret =
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "file"; readonly path: string }
  /** A program and its arguments, run without a shell in the folder of the pipeline; a program with a `/` is an absolute path. */
  | { readonly kind: "command"; readonly argv: readonly [string, ...string[]] }
  | { readonly kind: "external"; readonly name: string };

export type ConfigFile =
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "content"; readonly content: string };

export interface Volume {
  /** Name in the engine; absent means `<pipeline>_<key>`. */
  readonly name?: string;
  readonly external: boolean;
  readonly driver?: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Network {
  readonly name?: string;
  readonly external: boolean;
  readonly driver?: string;
  readonly driverOpts: Readonly<Record<string, string>>;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
}
