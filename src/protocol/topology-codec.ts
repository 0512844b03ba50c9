import type { MessageOf } from "./message-type.ts";
import type { Assignment, BufferSpec, Downstream, OnErrorSpec, Topology, Upstream } from "./records.ts";
import {
  action,
  type assignment,
  type buffer,
  bufferType,
  type onError,
  type topology,
  whenFull,
} from "./registry-messages.ts";
import { fromTime, toTime } from "./wire-values.ts";

/** flowctl.registry.v1.Topology, and what is in it. */
export type TopologyMessage = MessageOf<typeof topology>;
type AssignmentMessage = MessageOf<typeof assignment>;
type BufferMessage = MessageOf<typeof buffer>;
type OnErrorMessage = MessageOf<typeof onError>;

/** What holds for a component that says nothing about errors. */
const defaultOnError: OnErrorSpec = { action: "fail", to: "", retries: 0, backoffMs: 0 };

export function encodeTopology(topology: Topology): TopologyMessage {
  return {
    upstreams: topology.upstreams.map((upstream) => ({
      ...upstream,
      instances: upstream.instances.map((one) => ({ ...one, controlPlane: one.controlPlane ?? false })),
      draining: upstream.draining ?? false,
    })),
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

export function encodeAssignment(assignment: Assignment): AssignmentMessage {
  return { ...assignment, position: assignment.position };
}

export function decodeAssignment({ position, ...assignment }: AssignmentMessage): Assignment {
  return { ...assignment, ...(position === undefined ? {} : { position }) };
}

/** An absent topology reads as one without neighbours. */
export function decodeTopology(message: TopologyMessage | null): Topology {
  return {
    upstreams: (message?.upstreams ?? []).map(
      (upstream): Upstream => ({
        componentId: upstream.componentId,
        types: upstream.types,
        instances: upstream.instances.map(({ controlPlane, ...one }) => ({
          ...one,
          ...(controlPlane ? { controlPlane: true as const } : {}),
        })),
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
  return { ...buffer, type: bufferType.of(buffer.type), whenFull: whenFull.of(buffer.whenFull) };
}

export function decodeBuffer(message: BufferMessage): BufferSpec {
  return {
    type: bufferType.to(message.type) ?? "memory",
    maxEvents: message.maxEvents,
    maxBytes: message.maxBytes,
    whenFull: whenFull.to(message.whenFull) ?? "block",
  };
}

export function encodeOnError(onError: OnErrorSpec): OnErrorMessage {
  return {
    action: action.of(onError.action),
    to: onError.to,
    retries: onError.retries,
    backoff: toTime(onError.backoffMs),
  };
}

export function decodeOnError(message: OnErrorMessage | null): OnErrorSpec {
  if (message === null) return defaultOnError;
  return {
    action: action.to(message.action) ?? "fail",
    to: message.to,
    retries: message.retries,
    backoffMs: fromTime(message.backoff),
  };
}
