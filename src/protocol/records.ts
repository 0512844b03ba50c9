import type { ComponentType } from "../pipeline/pipeline.ts";

/** The states of a component instance; `control-plane/states.ts` has the table of legal transitions. */
export type ComponentState = "starting" | "healthy" | "degraded" | "unhealthy" | "stopping" | "completed" | "failed";
export type PipelineState = "starting" | "running" | "degraded" | "stopping" | "completed" | "failed";

/** A pipeline as the control plane knows it. Times are Unix milliseconds. */
export interface PipelineRecord {
  readonly id: string;
  readonly name: string;
  readonly state: PipelineState;
  /** Why it is in that state, where there is something to say; else empty. */
  readonly reason: string;
  readonly driver: string;
  readonly startedAt: number;
  readonly finishedAt?: number;
  readonly components: readonly ComponentRecord[];
  readonly topology: Readonly<Record<string, Connections>>;
  /** What the last change removed and still has something to hand on. */
  readonly draining?: readonly DrainingRecord[];
  /** What was applied last; absent before anything was. */
  readonly spec?: PipelineSpec;
}

/** A removed component, an instance that was scaled away (`instanceId`), or a removed input (`from`), until it has ended. */
export interface DrainingRecord {
  readonly componentId: string;
  readonly instanceId: string;
  readonly from: string;
}

export interface Connections {
  readonly upstream: readonly string[];
  readonly downstream: readonly string[];
}

export interface ComponentRecord {
  readonly id: string;
  readonly type: ComponentType;
  /** The worst state of its instances; `starting` when it has none yet. */
  readonly state: ComponentState;
  readonly connections: Connections;
  readonly desiredInstances: number;
  readonly instances: readonly InstanceRecord[];
  /** Of all its instances since the pipeline was started, those included that were replaced or scaled away. */
  readonly totals: InstanceMetrics;
  /** A source: what its instances read, and what they have read of earlier; left out when nothing is known. */
  readonly partitions?: readonly PartitionRecord[];
}

/** Something that one instance of a source reads at a time: a file, a shard. */
export interface Partition {
  /** Unique within the component. */
  readonly id: string;
  /** What exactly is read. A position belongs to an id and an identity: another identity is read from its beginning. */
  readonly identity: string;
}

export interface PartitionRecord extends Partition {
  /** Who reads it; empty while nobody does. */
  readonly instanceId: string;
  /** A position is stored. */
  readonly started: boolean;
  readonly finished: boolean;
  /** Declared by the program that registered last. */
  readonly current: boolean;
}

/** A partition that an instance was given to read. */
export interface Assignment {
  readonly partition: string;
  readonly identity: string;
  /** Where to go on; left out when nothing of the partition was ever stored. */
  readonly position?: Uint8Array;
  /** Grows each time the partition is given to an instance. */
  readonly epoch: number;
  /** It is to be given back: another instance is to go on. */
  readonly revoked: boolean;
}

export interface InstanceRecord {
  readonly id: string;
  readonly state: ComponentState;
  readonly reason: string;
  /** `host:port` of its EventStream; empty for a sink. */
  readonly address: string;
  readonly healthEndpoint: string;
  readonly lastHeartbeat: number;
  readonly registeredAt: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly metrics: InstanceMetrics;
  readonly restarts: number;
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  /** `metrics` of this and its earlier incarnations together, since the pipeline was started. */
  readonly totals: InstanceMetrics;
  /** It is to be stopped, and stays so until somebody starts it. */
  readonly desiredStopped: boolean;
}

/** Totals since the program started, except where the registry's protocol file says otherwise. */
export interface InstanceMetrics {
  readonly eventsIn: number;
  readonly eventsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly eventsDropped: number;
  readonly eventsFiltered: number;
  readonly eventsFailed: number;
  readonly inFlight: number;
  readonly deadLetters: number;
  readonly retries: number;
  readonly waiting: Readonly<Record<string, number>>;
  readonly backpressure: number;
}

/** One thing that happened, as `flowctl events` shows it. */
export interface PipelineEvent {
  readonly sequence: number;
  readonly time: number;
  /** `component.state`, `pipeline.state`, `instance.registered`, `instance.deregistered`, `instance.exited`, … */
  readonly type: string;
  readonly componentId: string;
  readonly instanceId: string;
  readonly message: string;
  readonly from: string;
  readonly to: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** What a driver saw of an instance from outside. `stopping` is of earlier versions and changes nothing. */
export interface InstanceReport {
  readonly componentId: string;
  readonly instanceId: string;
  readonly observation: "started" | "exited" | "stopping" | "removed";
  readonly exitCode?: number;
  readonly oomKilled?: boolean;
  readonly willRestart?: boolean;
  readonly message?: string;
}

/** Why an instance deregisters: told to stop, its data has ended, or it cannot go on. */
export type DeregisterReason = "stopped" | "completed" | "failed";

/** What the control plane is told of a pipeline: its topology and policies, nothing about how it is run. */
export interface PipelineSpec {
  readonly name: string;
  readonly driver: string;
  readonly components: readonly ComponentSpec[];
  /** Only inside the control plane: old ways go on until the instances have settled this mark; see `withHandover`. */
  readonly handover?: {
    readonly mark: number;
    readonly stage: "begin" | "catch up";
    /** Edges by which everything has passed that was there when everybody knew. */
    readonly done: readonly string[];
  };
  /** Only inside the control plane: the last mark that may have been told to an instance. */
  readonly marks?: number;
}

export interface ComponentSpec {
  readonly id: string;
  readonly type: ComponentType;
  readonly replicas: number;
  readonly inputs: readonly InputSpec[];
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  readonly onError: OnErrorSpec;
  readonly partitionBy: string;
  /** Restarts in a row, without having been healthy in between, after which it counts as failed. */
  readonly maxRestarts: number;
  /** So long an instance may run without registering before it is restarted, in milliseconds; default 60,000. */
  readonly startDeadlineMs?: number;
  /** The ids of its instances, as the driver names them; `instanceIdsOf` says what they are when left out. */
  readonly instanceIds?: readonly string[];
  /** Memory that one instance may use, in bytes; left out where there is no limit. */
  readonly memoryLimitBytes?: number;
  /** Only inside the control plane: the file no longer names it, and it ends once what it holds was handed on. */
  readonly leaving?: true;
  /** Only inside the control plane: ids of instances that were scaled away and end once what they hold was handed on. */
  readonly leavingInstances?: readonly string[];
  /** Only inside the control plane: the dead-letter target that had an input from here with a buffer on disk, which may still hold something. */
  readonly hadDiskFor?: string;
}

/** The ids of a component's instances, in the order of their numbers. */
export function instanceIdsOf(
  component: Pick<ComponentSpec, "id" | "replicas"> & { readonly instanceIds?: readonly string[] },
): readonly string[] {
  return (
    component.instanceIds ?? Array.from({ length: component.replicas }, (_, index) => `${component.id}-${index + 1}`)
  );
}

/** A change of the desired state, by instance id; see SetDesiredState in the protocol file. */
export interface DesiredChange {
  /** To run. What has completed stays so. */
  readonly running?: readonly string[];
  /** To run, and about to be started (again): what has completed or failed counts as starting from now on. */
  readonly started?: readonly string[];
  /** To be stopped, and to stay so. */
  readonly stopped?: readonly string[] | "all";
  /** About to be ended and started again by the command that holds the operation. */
  readonly renewed?: readonly string[];
}

/** A command that changes the pipeline, for people. */
export interface OperationName {
  /** Such as `flowctl up`. */
  readonly command: string;
  /** Such as `process 4711 on host-a`. */
  readonly holder: string;
}

/** What commands have carried out, each as its command wrote it. */
export interface KeptPipeline {
  /** What was last known to work: every instance was healthy or completed. */
  readonly healthy?: Uint8Array;
  /** What was carried out last, where that is known. */
  readonly latest?: Uint8Array;
}

export interface InputSpec {
  readonly from: string;
  readonly types: readonly string[];
  readonly buffer?: BufferSpec;
  /** Only inside the control plane: the file no longer names it, and it ends once everything owed was delivered. */
  readonly draining?: true;
  /** Only inside the control plane: the file no longer names it, and it goes on until what takes its place has caught up. */
  readonly ending?: true;
  /** Only inside the control plane: the types that it takes until what takes the place of some of them has caught up; empty: all. */
  readonly wide?: readonly string[];
  /** Only inside the control plane: the component above is to say when what it owes here now is acknowledged. */
  readonly mark?: number;
  /** Only inside the control plane: removed components whose undelivered events this input takes. */
  readonly takesOver?: readonly string[];
  /** Only inside the control plane: its buffer was on disk in an earlier file, and may still hold something there. */
  readonly hadDisk?: true;
}

export interface BufferSpec {
  readonly type: "memory" | "disk";
  /** 0: no limit of this kind. */
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly whenFull: "block" | "drop_newest" | "drop_oldest";
}

export interface OnErrorSpec {
  readonly action: "fail" | "retry" | "drop" | "dead_letter";
  readonly to: string;
  readonly retries: number;
  readonly backoffMs: number;
}

/** What surrounds one component: whom to dial, and whose acknowledgements to wait for. */
export interface Topology {
  readonly upstreams: readonly Upstream[];
  readonly downstreams: readonly Downstream[];
  readonly onError: OnErrorSpec;
  readonly inFlightAllowance: InFlightAllowance;
  /** What this instance of a source reads; left out: nothing. */
  readonly assignments?: readonly Assignment[];
  /** Every partition of the source is finished, whoever read it. */
  readonly partitionsFinished?: boolean;
  /** The instance is to end once everything that it holds was handed on; see `Topology.leaving` of the protocol. */
  readonly leaving?: true;
}

/**
 * What buffers in memory further down may hold. A component may have so much more in flight than usual; else the buffers
 * could never fill.
 */
export interface InFlightAllowance {
  readonly events: number;
  readonly bytes: number;
}

export interface Upstream {
  readonly componentId: string;
  readonly types: readonly string[];
  readonly instances: readonly UpstreamInstance[];
  /** All its instances have completed: nothing will ever come from it. */
  readonly completed: boolean;
  readonly deadLetters: boolean;
  /** How many instances it has when all are up. */
  readonly desiredInstances: number;
  /** The input was removed from the file: what was owed before still comes, then the end. */
  readonly draining?: true;
}

export interface UpstreamInstance {
  readonly instanceId: string;
  readonly address: string;
  readonly completed: boolean;
  /** The control plane serves it, by its own certificate. */
  readonly controlPlane?: true;
}

export interface Downstream {
  readonly componentId: string;
  readonly types: readonly string[];
  readonly partitionBy: string;
  readonly buffer?: BufferSpec;
  readonly desiredInstances: number;
  readonly deadLetters: boolean;
  /** The edge was removed from the file: nothing new goes there, what was owed before does, then the end. */
  readonly draining?: true;
  /** Groups that were removed and could not take what they were owed: this one takes it. */
  readonly takesOver?: readonly string[];
  /** Once the group has acknowledged what it was owed when this was first said, the component says so; see `Downstream.mark` of the protocol. */
  readonly mark?: number;
}

/** What somebody may do to whom access was granted. */
export type AccessRole = "reader" | "operator";

/** To whom access to the pipeline was granted; the owner is not among them. */
export interface AccessGrant {
  readonly name: string;
  readonly role: AccessRole;
  /** Unix milliseconds. */
  readonly grantedAt: number;
  /** `owner`, or the name of the operator who gave it. */
  readonly grantedBy: string;
}
