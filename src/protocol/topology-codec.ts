import type { Assignment, BufferSpec, Downstream, OnErrorSpec, Topology, Upstream } from "./records.ts";
import { enumCodec, fromTime, type TimeMessage, toTime } from "./wire-values.ts";

/** flowctl.registry.v1.Topology as proto-loader takes and gives it. */
export interface TopologyMessage {
  readonly upstreams: readonly UpstreamMessage[];
  readonly downstreams: readonly DownstreamMessage[];
  readonly onError: OnErrorMessage | null;
  readonly inFlightAllowance: { readonly events: number; readonly bytes: number } | null;
  readonly assignments: readonly AssignmentMessage[];
  readonly partitionsFinished: boolean;
  readonly leaving: boolean;
}

export interface AssignmentMessage {
  readonly partition: string;
  readonly identity: string;
  readonly position?: Uint8Array | undefined;
  /** Virtual field of the protocol library: present exactly when `position` is. */
  readonly _position?: "position";
  readonly epoch: number;
  readonly revoked: boolean;
}

export interface UpstreamMessage {
  readonly componentId: string;
  readonly types: readonly string[];
  readonly instances: readonly { readonly instanceId: string; readonly address: string; readonly completed: boolean }[];
  readonly completed: boolean;
  readonly deadLetters: boolean;
  readonly desiredInstances: number;
  readonly draining: boolean;
}

export interface DownstreamMessage {
  readonly componentId: string;
  readonly types: readonly string[];
  readonly partitionBy: string;
  readonly buffer: BufferMessage | null;
  readonly desiredInstances: number;
  readonly deadLetters: boolean;
  readonly draining: boolean;
  readonly takesOver: readonly string[];
  readonly mark: number;
}

export interface BufferMessage {
  readonly type: string;
  readonly maxEvents: number;
  readonly maxBytes: number;
  readonly whenFull: string;
}

export interface OnErrorMessage {
  readonly action: string;
  readonly to: string;
  readonly retries: number;
  readonly backoff: TimeMessage | null;
}

const bufferType = enumCodec<BufferSpec["type"]>("TYPE", ["memory", "disk"]);
const whenFull = enumCodec<BufferSpec["whenFull"]>("WHEN_FULL", ["block", "drop_newest", "drop_oldest"]);
const action = enumCodec<OnErrorSpec["action"]>("ACTION", ["fail", "retry", "drop", "dead_letter"]);

/** What holds for a component that says nothing about errors. */
const defaultOnError: OnErrorSpec = { action: "fail", to: "", retries: 0, backoffMs: 0 };

export function encodeTopology(topology: Topology): TopologyMessage {
  return {
    upstreams: topology.upstreams.map((upstream) => ({ ...upstream, draining: upstream.draining ?? false })),
    downstreams: topology.downstreams.map((group) => ({
      ...group,
      buffer: group.buffer === undefined ? null : encodeBuffer(group.buffer),
      draining: group.draining ?? false,
      takesOver: group.takesOver ?? [],
      mark: group.mark ?? 0,
    })),
    onError: encodeOnError(topology.onError),
    inFlightAllowance: topology.inFlightAllowance,
    assignments: (topology.assignments ?? []).map(encodeAssignment),
    partitionsFinished: topology.partitionsFinished ?? false,
    leaving: topology.leaving ?? false,
  };
}

export function encodeAssignment({ position, ...assignment }: Assignment): AssignmentMessage {
  return { ...assignment, ...(position === undefined ? {} : { position }) };
}

export function decodeAssignment(message: AssignmentMessage): Assignment {
  const { partition, identity, epoch, revoked, position } = message;
  const known = message._position === "position" && position !== undefined;
  return { partition, identity, epoch, revoked, ...(known ? { position } : {}) };
}

/** An absent topology reads as one without neighbours. */
export function decodeTopology(message: TopologyMessage | null): Topology {
  return {
    upstreams: (message?.upstreams ?? []).map(
      (upstream): Upstream => ({
        componentId: upstream.componentId,
        types: upstream.types,
        instances: upstream.instances,
        completed: upstream.completed,
        deadLetters: upstream.deadLetters,
        desiredInstances: upstream.desiredInstances,
        ...(upstream.draining ? { draining: true } : {}),
      }),
    ),
    downstreams: (message?.downstreams ?? []).map(
      (group): Downstream => ({
        componentId: group.componentId,
        types: group.types,
        partitionBy: group.partitionBy,
        ...(group.buffer === null ? {} : { buffer: decodeBuffer(group.buffer) }),
        desiredInstances: group.desiredInstances,
        deadLetters: group.deadLetters,
        ...(group.draining ? { draining: true } : {}),
        ...(group.takesOver.length > 0 ? { takesOver: group.takesOver } : {}),
        ...(group.mark > 0 ? { mark: group.mark } : {}),
      }),
    ),
    onError: decodeOnError(message?.onError ?? null),
    inFlightAllowance: {
      events: message?.inFlightAllowance?.events ?? 0,
      bytes: message?.inFlightAllowance?.bytes ?? 0,
    },
    ...(message === null || message.assignments.length === 0
      ? {}
      : { assignments: message.assignments.map(decodeAssignment) }),
    ...(message?.partitionsFinished ? { partitionsFinished: true } : {}),
    ...(message?.leaving ? { leaving: true } : {}),
  };
}

export function encodeBuffer(buffer: BufferSpec): BufferMessage {
  return { ...buffer, type: bufferType.encode(buffer.type), whenFull: whenFull.encode(buffer.whenFull) };
}

export function decodeBuffer(message: BufferMessage): BufferSpec {
  return {
    type: bufferType.decode(message.type) ?? "memory",
    maxEvents: message.maxEvents,
    maxBytes: message.maxBytes,
    whenFull: whenFull.decode(message.whenFull) ?? "block",
  };
}

export function encodeOnError(onError: OnErrorSpec): OnErrorMessage {
  return {
    action: action.encode(onError.action),
    to: onError.to,
    retries: onError.retries,
    backoff: toTime(onError.backoffMs),
  };
}

export function decodeOnError(message: OnErrorMessage | null): OnErrorSpec {
  if (message === null) return defaultOnError;
  return {
    action: action.decode(message.action) ?? "fail",
    to: message.to,
    retries: message.retries,
    backoffMs: fromTime(message.backoff),
  };
}
