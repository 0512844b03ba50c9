import type { IssuedCertificate } from "../identity/authority.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import type { ReplayAnswer } from "../protocol/control-codec.ts";
import type {
  AccessGrant,
  AccessRole,
  Assignment,
  ComponentRecord,
  DeregisterReason,
  DesiredChange,
  InstanceMetrics,
  InstanceReport,
  KeptPipeline,
  OperationName,
  Partition,
  PipelineEvent,
  PipelineRecord,
  PipelineSpec,
  Topology,
} from "../protocol/records.ts";
import type { CheckpointSave } from "../protocol/registry-codec.ts";

export type { CheckpointSave, InstanceReport };

/**
 * What the command line and the dashboard ask of a running control plane. Every call rejects with a FlowctlError:
 * `client/unreachable` (kind unavailable) when nothing answers within the signal's time, else what the control plane
 * said. Streams end only by their signal, by the server's end of a finite request, or by throwing.
 */
export interface ControlPlaneClient {
  applyPipeline(
    spec: PipelineSpec,
    signal: AbortSignal,
    options?: ApplyOptions,
  ): Promise<{ readonly changed: boolean }>;
  /** Changes nothing, and rejects as `applyPipeline` would. */
  checkPipeline(spec: PipelineSpec, signal: AbortSignal, options?: Omit<ApplyOptions, "operation">): Promise<void>;
  getPipeline(signal: AbortSignal): Promise<PipelineRecord>;
  getComponents(signal: AbortSignal): Promise<readonly ComponentRecord[]>;
  getComponentStatus(componentId: string, signal: AbortSignal): Promise<ComponentRecord>;
  watchEvents(
    options: { readonly after: number; readonly follow: boolean },
    signal: AbortSignal,
  ): AsyncIterable<PipelineEvent>;
  /**
   * Changes which instances are to run; resolves with the ids for which that made a difference, once it is durable and
   * nothing that contradicts it is under way. Rejects with `registry/no-pipeline` before a pipeline was applied, and with
   * `control/operation-taken-over` when another command has taken over since `operation` was held.
   */
  setDesiredState(change: DesiredChange, signal: AbortSignal, operation?: number): Promise<readonly string[]>;
  /**
   * Holds the operation on the pipeline. The first item says that it is held, and is its number; it is let go when the signal
   * fires. Throws `control/operation-under-way` when another command holds it, `control/operation-taken-over` when one takes it away.
   * When one was begun since the operation `unchangedSince`, or in the last `unchangedForMs`: `control/operation-taken-over` where that
   * took over, else `control/changed-since`.
   */
  holdOperation(
    name: OperationName,
    options: { readonly takeOver: boolean; readonly unchangedSince?: number; readonly unchangedForMs?: number },
    signal: AbortSignal,
  ): AsyncIterable<number>;
  /** Keeps what was carried out, at most 1 MiB, for a later command to go back to; no bytes forget everything; see KeepPipeline in the protocol file. */
  keepPipeline(content: Uint8Array, signal: AbortSignal): Promise<void>;
  keptPipeline(signal: AbortSignal): Promise<KeptPipeline>;
  /**
   * Sends events to a component besides its inputs, no faster than it takes them; see
   * ReplayEvents in the protocol file. Yields which were acknowledged, and ends when all are. Throws `control/cannot-replay`,
   * `control/component-not-running`, `control/replay-under-way`, `control/replay-failed`.
   */
  replayEvents(
    componentId: string,
    events: AsyncIterable<ReplayedEvent>,
    signal: AbortSignal,
  ): AsyncGenerator<ReplayAnswer>;
  reportInstance(report: InstanceReport, signal: AbortSignal): Promise<void>;
  /**
   * Gives access to somebody else until it is revoked. What it resolves with nobody else has. Rejects with `access/name-taken`,
   * `access/invalid-name`, `access/too-many`, or `access/insecure` where nobody needs it.
   */
  grantAccess(name: string, role: AccessRole, signal: AbortSignal): Promise<IssuedCertificate>;
  /** Rejects with `access/not-found`. */
  revokeAccess(name: string, signal: AbortSignal): Promise<void>;
  listAccess(signal: AbortSignal): Promise<readonly AccessGrant[]>;
  /** Makes the certificate of the owner anew, for the next command to find; this one, where it is the owner's, is refused from then on. */
  rotateOwner(signal: AbortSignal): Promise<void>;
  /** A code that opens the HTTP pages once; see OpenSession in the protocol file. */
  openSession(signal: AbortSignal): Promise<{ readonly code: string; readonly expiresInMs: number }>;
  close(): void;
}

/** What a component asks of the control plane: the client side of ComponentRegistry. Same errors as above. */
export interface RegistryClient {
  register(registration: Registration, signal: AbortSignal): Promise<Registered>;
  /** Rejects with `registry/unknown-instance` when the control plane does not know the instance: register again. */
  heartbeat(beat: Heartbeat, signal: AbortSignal): Promise<void>;
  deregister(reason: DeregisterReason, message: string, metrics: InstanceMetrics, signal: AbortSignal): Promise<void>;
  /** Throws `registry/unknown-instance` like `heartbeat`; so it does after a restart of the control plane. */
  watchTopology(signal: AbortSignal): AsyncIterable<Topology>;
  /**
   * Resolves only when what was saved is durable in the control plane. Rejects with `registry/not-owner` when the instance
   * does not read the partition (any more).
   */
  saveCheckpoint(save: CheckpointSave, signal: AbortSignal): Promise<void>;
  /** A new working certificate for the present one. Rejects with `identity/superseded` when that is void. */
  renew(signal: AbortSignal): Promise<Working>;
  close(): void;
}

/** What an instance works with from now on. */
export interface Working {
  readonly working: IssuedCertificate;
  /** When it is to be renewed. */
  readonly renewAfterMs: number;
}

/** What a joining certificate was given away for. */
export interface Joined extends Working {
  /** What the next start of the instance joins with. It has to be in its place before the working certificate is used. */
  readonly next: IssuedCertificate;
}

/** Who the component is; the same in every call of one RegistryClient. */
export interface ComponentIdentity {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
  readonly type: ComponentType;
  /** Different at each start of the program. */
  readonly incarnation: string;
}

/** The fields of a flowctl.event.v1.Event. */
export interface ReplayedEvent {
  readonly id: string;
  readonly type: string;
  readonly payload: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
  /** Kept to the millisecond. */
  readonly timestamp: Date | undefined;
  readonly sourceComponentId: string;
  readonly contentType: string;
}

/** See ApplyPipelineRequest in the protocol file. */
export interface ApplyOptions {
  /** Give up what removed components hold and cannot hand on, instead of being refused. */
  readonly discard?: boolean | undefined;
  /** Ids of the instances that exist, running or not. */
  readonly existing?: readonly string[];
  /** Ids of the instances that are about to be replaced. */
  readonly replaced?: readonly string[];
  /** Number of the operation that the command holds: rejects with `control/operation-taken-over` when another has taken over. */
  readonly operation?: number;
  /** The spec is an earlier one, and what is new in the present one never worked. */
  readonly goingBack?: boolean | undefined;
}

export interface Registration {
  readonly address: string;
  readonly healthEndpoint: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  /** What it supports beyond the basics of the contract. */
  readonly features: readonly string[];
  /** A source: what its instances share between them; left out: one partition with an empty id. */
  readonly partitions?: readonly Partition[];
  /** A source: what this program reads at this moment. */
  readonly held?: readonly Assignment[];
}

export interface Registered {
  readonly checkpoint: Uint8Array | undefined;
  /** Milliseconds. */
  readonly heartbeatInterval: number;
  readonly topology: Topology;
}

export interface Heartbeat {
  readonly metrics: InstanceMetrics;
  /** Empty when the component works well. */
  readonly degradedReason: string;
  /** Draining groups below that have acknowledged everything they were owed. */
  readonly drainedGroups?: readonly string[];
  /** By group below: the last mark before which nothing is owed there. */
  readonly settledMarks?: Readonly<Record<string, number>>;
  /** The largest mark that it has heard of. */
  readonly heardMark?: number;
}
