import type { MessageOf } from "./message-type.ts";
import type { ComponentRecord, Connections, InstanceMetrics, InstanceRecord } from "./records.ts";
import { type component, componentState, componentType, type instance } from "./registry-messages.ts";
import { fromTime, toTime } from "./wire-values.ts";

/** flowctl.registry.v1.Component, and what is in it. */
export type ComponentMessage = MessageOf<typeof component>;
type InstanceMessage = MessageOf<typeof instance>;

/** The metrics of an instance that has not reported any. */
export const noMetrics: InstanceMetrics = {
  eventsIn: 0,
  eventsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  eventsDropped: 0,
  eventsFiltered: 0,
  eventsFailed: 0,
  inFlight: 0,
  deadLetters: 0,
  retries: 0,
  waiting: {},
  backpressure: 0,
};

/** Two spans of time together: what is counted adds up, what is a present value is that of the later. */
export function addMetrics(earlier: InstanceMetrics, later: InstanceMetrics): InstanceMetrics {
  return {
    ...later,
    eventsIn: earlier.eventsIn + later.eventsIn,
    eventsOut: earlier.eventsOut + later.eventsOut,
    bytesIn: earlier.bytesIn + later.bytesIn,
    bytesOut: earlier.bytesOut + later.bytesOut,
    eventsDropped: earlier.eventsDropped + later.eventsDropped,
    eventsFiltered: earlier.eventsFiltered + later.eventsFiltered,
    eventsFailed: earlier.eventsFailed + later.eventsFailed,
    deadLetters: earlier.deadLetters + later.deadLetters,
    retries: earlier.retries + later.retries,
  };
}

export function decodeMetrics(message: InstanceMetrics | null): InstanceMetrics {
  return message ?? noMetrics;
}

export function encodeComponent(component: ComponentRecord): ComponentMessage {
  return {
    componentId: component.id,
    type: componentType.of(component.type),
    state: componentState.of(component.state),
    connections: component.connections,
    desiredInstances: component.desiredInstances,
    instances: component.instances.map(encodeInstance),
    totals: component.totals,
    partitions: component.partitions ?? [],
  };
}

export function decodeComponent(message: ComponentMessage): ComponentRecord {
  return {
    id: message.componentId,
    type: componentType.require(message.type, "type"),
    state: componentState.require(message.state, "state"),
    connections: decodeConnections(message.connections),
    desiredInstances: message.desiredInstances,
    instances: message.instances.map(decodeInstance),
    totals: decodeMetrics(message.totals),
    ...(message.partitions.length === 0 ? {} : { partitions: message.partitions }),
  };
}

export function decodeConnections(message: Connections | null): Connections {
  return { upstream: message?.upstream ?? [], downstream: message?.downstream ?? [] };
}

function encodeInstance(instance: InstanceRecord): InstanceMessage {
  const { id, state, lastHeartbeat, registeredAt, ...same } = instance;
  return {
    ...same,
    instanceId: id,
    state: componentState.of(state),
    lastHeartbeat: toTime(lastHeartbeat),
    registeredAt: toTime(registeredAt),
  };
}

function decodeInstance(message: InstanceMessage): InstanceRecord {
  const { instanceId, state, lastHeartbeat, registeredAt, metrics, totals, ...same } = message;
  return {
    ...same,
    id: instanceId,
    state: componentState.require(state, "state"),
    lastHeartbeat: fromTime(lastHeartbeat),
    registeredAt: fromTime(registeredAt),
    metrics: decodeMetrics(metrics),
    totals: decodeMetrics(totals ?? metrics),
  };
}
