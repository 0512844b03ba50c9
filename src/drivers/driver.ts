import type { LogLevel } from "../foundation/logger.ts";
import type { IdentitySource } from "../identity/tls-identity.ts";
import type { DriverName, Pipeline } from "../pipeline/pipeline.ts";

/**
 * The contract between flowctl and whatever runs a pipeline's parts. A driver observes what runs, carries out one
 * change at a time, streams logs and forwards events; it holds no policy: what to change is decided by the planner
 * and by the control plane's supervisor.
 *
 * Every driver passes `test/conformance/driver.ts`. Differences are declared in `capabilities`; callers never ask for
 * a driver's name to decide what to do. Every method that waits takes an AbortSignal and rejects with a FlowctlError
 * of kind `cancelled` when it fires; errors are FlowctlErrors with codes `driver/…`, `docker/…`, `process/…`.
 */
export interface Driver {
  readonly name: DriverName;
  readonly capabilities: DriverCapabilities;

  /** Whether the engine behind the driver answers. Never rejects for an engine that is away; takes at most 5 s. */
  probe(signal: AbortSignal): Promise<DriverProbe>;

  /**
   * Makes ready whatever `deployment` needs before it starts (pulls and builds images, checks that commands exist)
   * and returns the resources that would make it up, each with the hash of its configuration. Changes nothing that
   * runs. May take minutes; reports by `progress`.
   */
  prepare(deployment: Deployment, options: PrepareOptions): Promise<readonly DesiredResource[]>;

  /** Everything of one pipeline that exists now, also what is stopped, half-made, or left by a crash. */
  observe(pipeline: string, signal: AbortSignal): Promise<readonly ObservedResource[]>;

  /**
   * Carries out one change. Idempotent: a resource that is already as the change wants it is success. Interrupted at
   * any moment it leaves only what `observe` can see, so that a later plan completes or removes it. Create and replace
   * record the folder of the deployment's pipeline, and reject with `driver/other-folder` (kind conflict) where what
   * there is belongs to another.
   */
  apply(change: Change, context: ApplyContext): Promise<void>;

  /**
   * Log lines of the selected instances, oldest first per instance. With `follow` it also covers instances that start
   * later, and ends when the signal fires; a stream that breaks throws, it never looks like a clean end.
   */
  logs(pipeline: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;

  /** What happens to the pipeline's instances from now on. Ends only by the signal or by an error. */
  events(pipeline: string, signal: AbortSignal): AsyncIterable<DriverEvent>;

  /** How this process reaches the pipeline's control plane; undefined when none runs. */
  controlPlane(pipeline: string, signal: AbortSignal): Promise<ControlPlaneEndpoint | undefined>;

  /** Names of the pipelines of which anything exists. */
  pipelines(signal: AbortSignal): Promise<readonly string[]>;

  /** What it uses of this machine; undefined where it runs things on another. */
  here?(signal: AbortSignal): Promise<UsedHere | undefined>;
}

export interface UsedHere {
  /** Folder whose disk state, logs and buffers are on. It may not exist yet. */
  readonly folder: string;
  /** Whether this process writes there itself; else an engine does. */
  readonly own: boolean;
  /** Whether `ports` of the pipeline file are published on this machine. */
  readonly publishes: boolean;
}

export interface DriverCapabilities {
  /** Runs images, and therefore builds and pulls them. */
  readonly images: boolean;
  /** Enforces cpu and memory limits. */
  readonly limits: boolean;
  /** Restarts instances that exit by itself, by their restart policy; else the supervisor asks for it by `apply`. */
  readonly restartsExited: boolean;
  /** Everything that it runs listens on 127.0.0.1 alone. */
  readonly loopback?: true;
  /** The engine that runs the instances, where that is a service of the machine. */
  readonly engine?: EngineService;
}

export interface EngineService {
  /** Its systemd unit. */
  readonly unit: string;
  /** Environment variables by which a command finds the engine, and what it uses on it. */
  readonly variables: readonly string[];
}

export type DriverProbe =
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly fix?: string };

/** What is to run: the resolved pipeline and the values that are not part of it. */
export interface Deployment {
  readonly pipeline: Pipeline;
  /** Values of every secret that some component or service is granted, by key of `pipeline.secrets`. */
  readonly secretValues: ReadonlyMap<string, Uint8Array>;
  /** Contents of every config that is granted, by key of `pipeline.configs`. */
  readonly configValues: ReadonlyMap<string, Uint8Array>;
  readonly options: DeploymentOptions;
  /**
   * An authority of the user's own, which is to sign that of the pipeline: its certificates and its key, in PEM, and the file that they
   * are from. Left out: what there is stays as it is.
   */
  readonly authority?: GivenAuthorityFile;
  /** Ids of images by component or service id: these are run, whatever the file's tags mean by now, or `prepare` rejects. */
  readonly images?: ReadonlyMap<string, string>;
}

export interface GivenAuthorityFile {
  readonly path: string;
  readonly content: string;
}

export interface DeploymentOptions {
  /** Whether the control plane keeps its state in LevelDB; else in memory. */
  readonly persistence: boolean;
  readonly logLevel: LogLevel;
  /** Everybody speaks in the clear, and nobody has to prove who they are. Left out: not so, where the driver can do otherwise. */
  readonly insecure?: boolean;
  /** Who may read the metrics of the control plane: with `token`, only who has access to the pipeline. Default: whoever reaches its HTTP. */
  readonly metrics?: "open" | "token";
}

export interface PrepareOptions {
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** Build images even where one is there: all of them, or those of these components and services. */
  readonly build: boolean | ReadonlySet<string>;
  /** Only say what would be; pull and build nothing. Hashes may then be of the file's tags instead of image ids. */
  readonly dryRun: boolean;
}

/** `engine-access`: what the control plane reaches the engine through, where it does not have that to itself. */
export type ResourceKind = "network" | "volume" | "engine-access" | "control-plane" | "service" | "component";

/** Names one resource of a pipeline in every driver: `network/default`, `control-plane/1`, `component/enrich-2`. */
export type ResourceKey = `${ResourceKind}/${string}`;

interface ResourceIdentity {
  readonly key: ResourceKey;
  readonly kind: ResourceKind;
  /** Component id, service id, or key of volume or network; `control-plane` for the control plane and its engine access. */
  readonly owner: string;
  /** Instance number of a component or service, from 1. 0 for networks and volumes. */
  readonly index: number;
}

export interface DesiredResource extends ResourceIdentity {
  /** Hash of everything about it that, when changed, means it has to be replaced. Secrets enter only as keyed MACs. */
  readonly hash: string;
  /**
   * Parts of the hash by name, so that a plan can say what changed: `image`, `environment`, `with`, … One that was made with a key may be
   * `<id of the key>:<digest>`: those of other keys say nothing of whether it changed.
   */
  readonly parts: Readonly<Record<string, string>>;
  /** Id of the image that it runs, where the file names or builds one. */
  readonly image?: string;
  /** Ports of the host that it needs for itself, such as `127.0.0.1:8080/tcp`. Left out: none, or whichever are free. */
  readonly hostPorts?: readonly string[];
  /** What has to be there, and in which state, before this one starts. Keys of other desired resources. */
  readonly after: readonly Prerequisite[];
  /** What the driver needs to make it. Opaque to everyone else; plain data without secret values. */
  readonly spec: unknown;
}

export interface Prerequisite {
  readonly key: ResourceKey;
  readonly condition: "exists" | "started" | "healthy" | "completed";
}

export interface ObservedResource extends ResourceIdentity {
  /** Hash and parts it was made with; empty when unknown (left half-made). */
  readonly hash: string;
  readonly parts: Readonly<Record<string, string>>;
  readonly state: ObservedState;
  /** Driver's own reference: container id, pid. */
  readonly ref: string;
  /** Container name or process title, for people. */
  readonly name: string;
  readonly image?: string;
  /** Where it can be reached, for people: `host:port->http`; `grpc`, `http`, `stream` and `health` are flowctl's own, others as in the file, `80/tcp`. */
  readonly ports: readonly string[];
  /** Folder that the pipeline belongs to (see projectFolder); absent where it was not recorded. */
  readonly folder?: string;
  /** Of an instance that is granted secrets and does not run: whether their files are there. See the change `stop`. */
  readonly secrets?: "present" | "removed";
  /** What was taken from it while it runs, for people; starting or restarting it gives that back. */
  readonly flaw?: string;
  /** Of a control plane: it reaches the engine through the engine access of its pipeline alone. */
  readonly needsEngineAccess?: true;
  /** Of a service, where it is known: how often in a row it may be started again, and what it may use. */
  readonly policy?: { readonly maxRestarts: number; readonly memoryLimitBytes?: number };
}

/** Existing networks and volumes are `running`. Times are Unix milliseconds. */
export type ObservedState =
  | { readonly status: "created" }
  | {
      readonly status: "running";
      readonly startedAt: number;
      readonly health: "none" | "starting" | "healthy" | "unhealthy";
      readonly restarts: number;
    }
  | { readonly status: "restarting"; readonly exitCode: number; readonly restarts: number }
  | { readonly status: "paused" }
  | {
      readonly status: "exited";
      readonly exitCode: number;
      readonly oomKilled: boolean;
      readonly finishedAt: number;
      readonly restarts: number;
    };

/** One step of a plan. `cause` says why, for people. */
export type Change =
  | { readonly action: "create"; readonly resource: DesiredResource; readonly cause: string }
  /** A new one in place of the observed one, also when their hashes are equal. Done when another one is there already. */
  | {
      readonly action: "replace";
      readonly resource: DesiredResource;
      readonly observed: ObservedResource;
      readonly cause: string;
    }
  | { readonly action: "start"; readonly observed: ObservedResource; readonly cause: string }
  /**
   * Ended within its grace period; then the files of its secrets are removed, also where it had ended before. With `keepSecrets` they
   * stay: it is about to be removed, or started again.
   */
  | {
      readonly action: "stop";
      readonly observed: ObservedResource;
      readonly cause: string;
      readonly keepSecrets?: boolean;
    }
  | { readonly action: "restart"; readonly observed: ObservedResource; readonly cause: string }
  /** Graceful stop within its grace period, then gone. Volumes are removed only by an explicit change. */
  | { readonly action: "remove"; readonly observed: ObservedResource; readonly cause: string };

export interface ApplyContext {
  readonly pipeline: string;
  /**
   * Secret and config values. Needed by create and replace, and by start and restart of what has its secrets removed: without their
   * values these reject with `driver/secrets-removed` (kind conflict). Absent for stop and remove.
   */
  readonly deployment?: Deployment;
  readonly signal: AbortSignal;
  readonly progress: ProgressSink;
  /** End at once instead of within the grace period. */
  readonly force?: boolean;
}

/** Where long work reports. Synchronous and cheap; never throws. */
export type ProgressSink = (event: ProgressEvent) => void;

export interface ProgressEvent {
  /** What it is about: a resource key, or `image/<reference>`. */
  readonly subject: string;
  readonly status: "working" | "done" | "failed";
  /** Present participle or result: `Pulling`, `Created`, `Healthy`. */
  readonly text: string;
  /** 0 to 1 where known. */
  readonly fraction?: number;
}

export interface LogOptions {
  /** Component and service ids and instance ids (`enrich-2`); `control-plane` too. Empty: all but the control plane. */
  readonly select: readonly string[];
  readonly follow: boolean;
  /** Lines per instance from the end; undefined: all. */
  readonly tail?: number;
  /** Unix milliseconds. */
  readonly since?: number;
  readonly until?: number;
}

export interface LogLine {
  readonly instance: string;
  readonly owner: string;
  readonly stream: "stdout" | "stderr";
  /** Unix milliseconds. */
  readonly time: number;
  /** Without line end. */
  readonly text: string;
}

export type DriverEvent =
  | { readonly type: "started"; readonly key: ResourceKey; readonly time: number }
  | {
      readonly type: "exited";
      readonly key: ResourceKey;
      readonly time: number;
      readonly exitCode: number;
      readonly oomKilled: boolean;
      readonly willRestart: boolean;
    }
  | {
      readonly type: "health";
      readonly key: ResourceKey;
      readonly time: number;
      readonly health: "healthy" | "unhealthy";
    }
  | { readonly type: "removed"; readonly key: ResourceKey; readonly time: number };

/** So long before the end of what has signed a pipeline's authority somebody is told, in milliseconds. */
export const EXPIRES_SOON_MS = 30 * 24 * 60 * 60 * 1000;

export interface ControlPlaneEndpoint {
  /** `host:port` of its gRPC server, as this process can dial it. */
  readonly grpc: string;
  /** Base URL of its HTTP server. */
  readonly http: string;
  /** What proves to it that this process may change the pipeline; absent where everybody speaks in the clear. */
  readonly identity?: IdentitySource;
  /** When the user's own authority expires that has signed the pipeline's, in milliseconds since 1970; absent where none has. */
  readonly authorityExpires?: number;
}
