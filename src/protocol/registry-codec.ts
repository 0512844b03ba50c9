import type { ComponentType } from "../pipeline/pipeline.ts";
import { requireAddress, requireFew, requireId, requireSmall, shortened } from "./bounds.ts";
import { decodeMetrics } from "./component-codec.ts";
import type { MessageOf } from "./message-type.ts";
import type { Assignment, DeregisterReason, InstanceMetrics, Partition, Topology } from "./records.ts";
import {
  checkpointState,
  componentType,
  deregisterReason,
  type deregisterRequest,
  type heartbeatRequest,
  type registerRequest,
  type registerResponse,
  type saveCheckpointRequest,
} from "./registry-messages.ts";
import { decodeAssignment, decodeTopology, encodeAssignment, encodeTopology } from "./topology-codec.ts";
import { fromTime, toTime } from "./wire-values.ts";

export type RegisterMessage = MessageOf<typeof registerRequest>;
export type RegisterResponseMessage = MessageOf<typeof registerResponse>;
type FullHeartbeat = MessageOf<typeof heartbeatRequest>;
type HeardOfEdges = "drainedGroups" | "settledMarks" | "heardMark";
/** Of a component that knows nothing of draining and marks the rest is left out. */
export type HeartbeatMessage = Omit<FullHeartbeat, HeardOfEdges> & Partial<Pick<FullHeartbeat, HeardOfEdges>>;
export type DeregisterMessage = MessageOf<typeof deregisterRequest>;
export type SaveCheckpointMessage = MessageOf<typeof saveCheckpointRequest>;

/** Who calls: in every request of ComponentRegistry that comes from a component. */
export interface InstanceReference {
  readonly pipeline: string;
  readonly componentId: string;
  readonly instanceId: string;
}

/** One start of an instance's program. */
export interface IncarnationReference extends InstanceReference {
  readonly incarnation: string;
}

/** What an instance says of itself when it registers. */
export interface RegistrationRequest extends IncarnationReference {
  readonly type: ComponentType;
  readonly address: string;
  readonly healthEndpoint: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  /** What it supports beyond the basics of the contract; see `features.ts`. May hold names that nobody here knows. */
  readonly features: readonly string[];
  /** A source: what its instances share between them; left out: one partition with an empty id. */
  readonly partitions?: readonly Partition[];
  /** A source: what this program reads at this moment. */
  readonly held?: readonly Assignment[];
}

/** What an instance says of a partition that it was given. */
export interface CheckpointSave {
  readonly partition: string;
  readonly identity: string;
  /** 0: from a source without declared partitions. */
  readonly epoch: number;
  /** `released`: it is not read any more; `finished`: it has ended. Either way everything that came of it is acknowledged. */
  readonly state: "reading" | "released" | "finished";
  /** Left out: the stored position stays. */
  readonly position?: Uint8Array;
}

/** What an instance is given when it has registered. */
export interface RegistrationAnswer {
  readonly checkpoint: Uint8Array | undefined;
  /** Milliseconds. */
  readonly heartbeatInterval: number;
  readonly topology: Topology;
}

/** Throws `protocol/invalid-message` for a registration without ids or without a type, and for one that is too large to be kept. */
export function decodeRegistration(message: RegisterMessage): RegistrationRequest {
  requireIncarnation(message);
  requireAddress(message.address, "address");
  requireAddress(message.healthEndpoint, "health_endpoint");
  requireSmall(message.metadata, "metadata");
  requireFew(message.consumes, "consumes");
  requireFew(message.produces, "produces");
  requireFew(message.features, "features");
  const { partitions, held, ...same } = message;
  return {
    ...same,
    type: componentType.require(message.type, "type"),
    ...(partitions.length === 0 ? {} : { partitions }),
    ...(held.length === 0 ? {} : { held: held.map(decodeAssignment) }),
  };
}

export function encodeRegistration(registration: RegistrationRequest): RegisterMessage {
  return {
    ...registration,
    type: componentType.of(registration.type),
    partitions: registration.partitions ?? [],
    held: (registration.held ?? []).map(encodeAssignment),
  };
}

export function decodeSave(message: SaveCheckpointMessage): CheckpointSave {
  const { partition, identity, epoch, position } = message;
  const state = checkpointState.to(message.state) ?? "reading";
  const isKept = state !== "reading" && position.byteLength === 0;
  return { partition, identity, epoch, state, ...(isKept ? {} : { position }) };
}

export function encodeSave(caller: IncarnationReference, save: CheckpointSave): SaveCheckpointMessage {
  const { state, position, ...same } = save;
  return {
    ...caller,
    ...same,
    state: state === "reading" ? "STATE_UNSPECIFIED" : checkpointState.of(state),
    position: position ?? new Uint8Array(),
  };
}

export function encodeRegistrationAnswer(to: InstanceReference, answer: RegistrationAnswer): RegisterResponseMessage {
  return {
    componentId: to.componentId,
    instanceId: to.instanceId,
    checkpoint: answer.checkpoint,
    heartbeatInterval: toTime(answer.heartbeatInterval),
    topology: encodeTopology(answer.topology),
  };
}

export function decodeRegistrationAnswer(message: RegisterResponseMessage): RegistrationAnswer {
  return {
    checkpoint: message.checkpoint,
    heartbeatInterval: fromTime(message.heartbeatInterval),
    topology: decodeTopology(message.topology),
  };
}

export interface DeregistrationRequest extends IncarnationReference {
  readonly reason: DeregisterReason;
  readonly message: string;
  readonly metrics: InstanceMetrics | undefined;
}

/** The heartbeat with what is for people shortened. Throws `protocol/invalid-message` for one without ids, or that names too much. */
export function decodeHeartbeat(message: HeartbeatMessage): HeartbeatMessage {
  requireIncarnation(message);
  requireSmall(message.metrics?.waiting ?? {}, "metrics.waiting");
  requireSmall(message.settledMarks ?? {}, "settled_marks");
  requireFew(message.drainedGroups ?? [], "drained_groups");
  return { ...message, degradedReason: shortened(message.degradedReason) };
}

/** Throws `protocol/invalid-message` for a message without ids or reason. */
export function decodeDeregistration(message: DeregisterMessage): DeregistrationRequest {
  requireIncarnation(message);
  return {
    ...message,
    reason: deregisterReason.require(message.reason, "reason"),
    message: shortened(message.message),
    metrics: message.metrics === null ? undefined : decodeMetrics(message.metrics),
  };
}

export function encodeDeregistration(request: DeregistrationRequest): DeregisterMessage {
  return {
    ...request,
    reason: deregisterReason.of(request.reason),
    metrics: request.metrics ?? null,
  };
}

/** Throws `protocol/invalid-message` naming the first id that is missing or too long. */
export function requireIncarnation(reference: IncarnationReference): void {
  requireInstance(reference);
  requireId(reference.incarnation, "incarnation");
}

/** Throws `protocol/invalid-message` naming the first id that is missing or too long. */
export function requireInstance(reference: InstanceReference): void {
  requireId(reference.pipeline, "pipeline");
  requireId(reference.componentId, "component_id");
  requireId(reference.instanceId, "instance_id");
}
