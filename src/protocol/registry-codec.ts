import type { ComponentType } from "../pipeline/pipeline.ts";
import { componentType, decodeMetrics } from "./component-codec.ts";
import type { Assignment, DeregisterReason, InstanceMetrics, Partition, Topology } from "./records.ts";
import {
  type AssignmentMessage,
  decodeAssignment,
  decodeTopology,
  encodeAssignment,
  encodeTopology,
  type TopologyMessage,
} from "./topology-codec.ts";
import { enumCodec, fromTime, invalidMessage, type TimeMessage, toTime } from "./wire-values.ts";

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

export interface RegisterMessage extends Omit<RegistrationRequest, "type" | "partitions" | "held"> {
  readonly type: string;
  readonly partitions: readonly Partition[];
  readonly held: readonly AssignmentMessage[];
}

export interface RegisterResponseMessage {
  readonly componentId: string;
  readonly instanceId: string;
  readonly checkpoint?: Uint8Array;
  /** Virtual field of the protocol library: present exactly when `checkpoint` is. */
  readonly _checkpoint?: "checkpoint";
  readonly heartbeatInterval: TimeMessage | null;
  readonly topology: TopologyMessage | null;
}

export interface HeartbeatMessage extends IncarnationReference {
  readonly metrics: InstanceMetrics | null;
  readonly degradedReason: string;
  /** Draining groups below it that have acknowledged everything they were owed. */
  readonly drainedGroups?: readonly string[];
  /** By group below it: the last mark before which nothing is owed there. */
  readonly settledMarks?: Readonly<Record<string, number>>;
  /** The largest mark that it has heard of. */
  readonly heardMark?: number;
}

export interface DeregisterMessage extends IncarnationReference {
  readonly reason: string;
  readonly message: string;
  readonly metrics: InstanceMetrics | null;
}

export interface SaveCheckpointMessage extends IncarnationReference {
  readonly position: Uint8Array;
  readonly partition: string;
  readonly identity: string;
  readonly state: string;
  readonly epoch: number;
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

const deregisterReason = enumCodec<DeregisterReason>("DEREGISTER_REASON", ["stopped", "completed", "failed"]);

const checkpointState = enumCodec<"released" | "finished">("STATE", ["released", "finished"]);

/** Throws `protocol/invalid-message` for a registration without ids or without a type. */
export function decodeRegistration(message: RegisterMessage): RegistrationRequest {
  requireIncarnation(message);
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
    type: componentType.encode(registration.type),
    partitions: registration.partitions ?? [],
    held: (registration.held ?? []).map(encodeAssignment),
  };
}

export function decodeSave(message: SaveCheckpointMessage): CheckpointSave {
  const { partition, identity, epoch, position } = message;
  const state = checkpointState.decode(message.state) ?? "reading";
  const isKept = state !== "reading" && position.byteLength === 0;
  return { partition, identity, epoch, state, ...(isKept ? {} : { position }) };
}

export function encodeSave(caller: IncarnationReference, save: CheckpointSave): SaveCheckpointMessage {
  const { state, position, ...same } = save;
  return {
    ...caller,
    ...same,
    state: state === "reading" ? "STATE_UNSPECIFIED" : checkpointState.encode(state),
    position: position ?? new Uint8Array(),
  };
}

export function encodeRegistrationAnswer(
  to: InstanceReference,
  answer: RegistrationAnswer,
): Omit<RegisterResponseMessage, "_checkpoint"> {
  return {
    componentId: to.componentId,
    instanceId: to.instanceId,
    ...(answer.checkpoint === undefined ? {} : { checkpoint: answer.checkpoint }),
    heartbeatInterval: toTime(answer.heartbeatInterval),
    topology: encodeTopology(answer.topology),
  };
}

export function decodeRegistrationAnswer(message: RegisterResponseMessage): RegistrationAnswer {
  return {
    checkpoint: message._checkpoint === "checkpoint" ? message.checkpoint : undefined,
    heartbeatInterval: fromTime(message.heartbeatInterval),
    topology: decodeTopology(message.topology),
  };
}

export interface DeregistrationRequest extends IncarnationReference {
  readonly reason: DeregisterReason;
  readonly message: string;
  readonly metrics: InstanceMetrics | undefined;
}

/** Throws `protocol/invalid-message` for a message without ids or reason. */
export function decodeDeregistration(message: DeregisterMessage): DeregistrationRequest {
  requireIncarnation(message);
  return {
    ...message,
    reason: deregisterReason.require(message.reason, "reason"),
    metrics: message.metrics === null ? undefined : decodeMetrics(message.metrics),
  };
}

export function encodeDeregistration(request: DeregistrationRequest): DeregisterMessage {
  return {
    ...request,
    reason: deregisterReason.encode(request.reason),
    metrics: request.metrics ?? null,
  };
}

/** Throws `protocol/invalid-message` naming the first id that is missing. */
export function requireIncarnation(reference: IncarnationReference): void {
  requireInstance(reference);
  if (reference.incarnation === "") throw invalidMessage("incarnation", "incarnation is empty");
}

/** Throws `protocol/invalid-message` naming the first id that is missing. */
export function requireInstance(reference: InstanceReference): void {
  if (reference.pipeline === "") throw invalidMessage("pipeline", "pipeline is empty");
  if (reference.componentId === "") throw invalidMessage("component_id", "component_id is empty");
  if (reference.instanceId === "") throw invalidMessage("instance_id", "instance_id is empty");
}
