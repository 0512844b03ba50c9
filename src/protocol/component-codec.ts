import type { ComponentType } from "../pipeline/pipeline.ts";
import type {
  ComponentRecord,
  ComponentState,
  Connections,
  InstanceMetrics,
  InstanceRecord,
  PartitionRecord,
} from "./records.ts";
import { enumCodec, fromTime, type TimeMessage, toTime } from "./wire-values.ts";

/** flowctl.registry.v1.Component as proto-loader takes and gives it. */
export interface ComponentMessage {
  readonly componentId: string;
  readonly type: string;
  readonly state: string;
  readonly connections: Connections | null;
  readonly desiredInstances: number;
  readonly instances: readonly InstanceMessage[];
  readonly totals: InstanceMetrics | null;
  readonly partitions: readonly PartitionRecord[];
}

export interface InstanceMessage {
  readonly instanceId: string;
  readonly state: string;
  readonly reason: string;
  readonly address: string;
  readonly healthEndpoint: string;
  readonly lastHeartbeat: TimeMessage | null;
  readonly registeredAt: TimeMessage | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly metrics: InstanceMetrics | null;
  readonly restarts: number;
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  readonly totals: InstanceMetrics | null;
  readonly desiredStopped: boolean;
}

export const componentType = enumCodec<ComponentType>("COMPONENT_TYPE", ["source", "processor", "sink"]);
export const componentState = enumCodec<ComponentState>("COMPONENT_STATE", [
  "starting",
  "healthy",
  "degraded",
  "unhealthy",
  "stopping",
  "completed",
  "failed",
]);

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
    type: componentType.encode(component.type),
    state: componentState.encode(component.state),
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
    state: componentState.encode(state),
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
