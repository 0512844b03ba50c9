import {
  bool,
  bytes,
  double,
  enumType,
  int32,
  int64,
  list,
  map,
  messageType,
  one,
  optional,
  string,
  uint32,
  uint64,
} from "./message-type.ts";
import { method } from "./service-methods.ts";

/** What `flowctl/registry/v1/registry.proto` says, as tables. A test compares them with the file. */

export const timestamp = messageType("google.protobuf.Timestamp", {
  seconds: one(1, int64),
  nanos: one(2, int32),
});

export const duration = messageType("google.protobuf.Duration", {
  seconds: one(1, int64),
  nanos: one(2, int32),
});

export const componentType = enumType("flowctl.registry.v1.ComponentType", "COMPONENT_TYPE", [
  "source",
  "processor",
  "sink",
]);

export const componentState = enumType("flowctl.registry.v1.ComponentState", "COMPONENT_STATE", [
  "starting",
  "healthy",
  "degraded",
  "unhealthy",
  "stopping",
  "completed",
  "failed",
]);

export const deregisterReason = enumType("flowctl.registry.v1.DeregisterReason", "DEREGISTER_REASON", [
  "stopped",
  "completed",
  "failed",
]);

export const checkpointState = enumType("flowctl.registry.v1.SaveCheckpointRequest.State", "STATE", [
  "released",
  "finished",
]);

export const bufferType = enumType("flowctl.registry.v1.Buffer.Type", "TYPE", ["memory", "disk"]);

export const whenFull = enumType("flowctl.registry.v1.Buffer.WhenFull", "WHEN_FULL", [
  "block",
  "drop_newest",
  "drop_oldest",
]);

export const action = enumType("flowctl.registry.v1.OnError.Action", "ACTION", [
  "fail",
  "retry",
  "drop",
  "dead_letter",
]);

export const buffer = messageType("flowctl.registry.v1.Buffer", {
  type: one(1, bufferType),
  maxEvents: one(2, uint64),
  maxBytes: one(3, uint64),
  whenFull: one(4, whenFull),
});

export const onError = messageType("flowctl.registry.v1.OnError", {
  action: one(1, action),
  to: one(2, string),
  retries: one(3, uint32),
  backoff: one(4, duration),
});

const upstreamInstance = messageType("flowctl.registry.v1.UpstreamInstance", {
  instanceId: one(1, string),
  address: one(2, string),
  completed: one(3, bool),
  controlPlane: one(4, bool),
});

export const upstream = messageType("flowctl.registry.v1.Upstream", {
  componentId: one(1, string),
  types: list(2, string),
  instances: list(3, upstreamInstance),
  completed: one(4, bool),
  deadLetters: one(5, bool),
  desiredInstances: one(6, uint32),
  draining: one(7, bool),
});

export const downstream = messageType("flowctl.registry.v1.Downstream", {
  componentId: one(1, string),
  types: list(2, string),
  partitionBy: one(3, string),
  buffer: one(4, buffer),
  desiredInstances: one(5, uint32),
  deadLetters: one(6, bool),
  draining: one(7, bool),
  takesOver: list(8, string),
  mark: one(9, uint64),
});

const inFlightAllowance = messageType("flowctl.registry.v1.InFlightAllowance", {
  events: one(1, uint64),
  bytes: one(2, uint64),
});

const partition = messageType("flowctl.registry.v1.Partition", {
  id: one(1, string),
  identity: one(2, string),
});

export const assignment = messageType("flowctl.registry.v1.Assignment", {
  partition: one(1, string),
  identity: one(2, string),
  position: optional(3, bytes),
  epoch: one(4, uint64),
  revoked: one(5, bool),
});

export const topology = messageType("flowctl.registry.v1.Topology", {
  upstreams: list(1, upstream),
  downstreams: list(2, downstream),
  onError: one(3, onError),
  inFlightAllowance: one(4, inFlightAllowance),
  assignments: list(6, assignment),
  partitionsFinished: one(8, bool),
  leaving: one(5, bool),
});

export const metrics = messageType("flowctl.registry.v1.Metrics", {
  eventsIn: one(1, uint64),
  eventsOut: one(2, uint64),
  bytesIn: one(3, uint64),
  bytesOut: one(4, uint64),
  eventsDropped: one(5, uint64),
  eventsFiltered: one(6, uint64),
  eventsFailed: one(7, uint64),
  inFlight: one(8, uint64),
  deadLetters: one(9, uint64),
  retries: one(10, uint64),
  waiting: map(11, uint64),
  backpressure: one(12, double),
});

export const connections = messageType("flowctl.registry.v1.Connections", {
  upstream: list(1, string),
  downstream: list(2, string),
});

export const instance = messageType("flowctl.registry.v1.Instance", {
  instanceId: one(1, string),
  state: one(2, componentState),
  reason: one(3, string),
  address: one(4, string),
  healthEndpoint: one(5, string),
  lastHeartbeat: one(6, timestamp),
  registeredAt: one(7, timestamp),
  metadata: map(8, string),
  metrics: one(9, metrics),
  restarts: one(10, uint32),
  consumes: list(11, string),
  produces: list(12, string),
  totals: one(13, metrics),
  desiredStopped: one(14, bool),
});

const partitionStatus = messageType("flowctl.registry.v1.PartitionStatus", {
  id: one(1, string),
  identity: one(2, string),
  instanceId: one(3, string),
  started: one(4, bool),
  finished: one(5, bool),
  current: one(6, bool),
});

export const component = messageType("flowctl.registry.v1.Component", {
  componentId: one(1, string),
  type: one(2, componentType),
  state: one(3, componentState),
  connections: one(4, connections),
  desiredInstances: one(5, uint32),
  instances: list(6, instance),
  totals: one(8, metrics),
  partitions: list(13, partitionStatus),
});

export const registerRequest = messageType("flowctl.registry.v1.RegisterComponentRequest", {
  pipeline: one(1, string),
  componentId: one(2, string),
  instanceId: one(3, string),
  type: one(4, componentType),
  address: one(5, string),
  healthEndpoint: one(6, string),
  metadata: map(7, string),
  consumes: list(8, string),
  produces: list(9, string),
  incarnation: one(10, string),
  features: list(11, string),
  partitions: list(12, partition),
  held: list(13, assignment),
});

export const registerResponse = messageType("flowctl.registry.v1.RegisterComponentResponse", {
  componentId: one(1, string),
  instanceId: one(2, string),
  checkpoint: optional(3, bytes),
  heartbeatInterval: one(4, duration),
  topology: one(5, topology),
});

export const heartbeatRequest = messageType("flowctl.registry.v1.HeartbeatRequest", {
  pipeline: one(1, string),
  componentId: one(2, string),
  instanceId: one(3, string),
  incarnation: one(4, string),
  metrics: one(5, metrics),
  degradedReason: one(6, string),
  drainedGroups: list(7, string),
  settledMarks: map(8, uint64),
  heardMark: one(9, uint64),
});

export const deregisterRequest = messageType("flowctl.registry.v1.DeregisterComponentRequest", {
  pipeline: one(1, string),
  componentId: one(2, string),
  instanceId: one(3, string),
  incarnation: one(4, string),
  reason: one(5, deregisterReason),
  message: one(6, string),
  metrics: one(7, metrics),
});

const getComponentsRequest = messageType("flowctl.registry.v1.GetComponentsRequest", {
  type: one(1, componentType),
  state: one(2, componentState),
});

const getComponentsResponse = messageType("flowctl.registry.v1.GetComponentsResponse", {
  components: list(1, component),
});

const getComponentStatusRequest = messageType("flowctl.registry.v1.GetComponentStatusRequest", {
  componentId: one(1, string),
});

const getComponentStatusResponse = messageType("flowctl.registry.v1.GetComponentStatusResponse", {
  component: one(1, component),
});

export const watchTopologyRequest = messageType("flowctl.registry.v1.WatchTopologyRequest", {
  pipeline: one(1, string),
  componentId: one(2, string),
  instanceId: one(3, string),
});

const watchTopologyResponse = messageType("flowctl.registry.v1.WatchTopologyResponse", { topology: one(1, topology) });

export const saveCheckpointRequest = messageType("flowctl.registry.v1.SaveCheckpointRequest", {
  pipeline: one(1, string),
  componentId: one(2, string),
  instanceId: one(3, string),
  incarnation: one(4, string),
  position: one(5, bytes),
  partition: one(6, string),
  identity: one(7, string),
  state: one(8, checkpointState),
  epoch: one(9, uint64),
});

const issuedCertificate = messageType("flowctl.registry.v1.IssuedCertificate", {
  certificate: one(1, string),
  key: one(2, string),
});

const joinResponse = messageType("flowctl.registry.v1.JoinResponse", {
  working: one(1, issuedCertificate),
  joining: one(2, issuedCertificate),
  renewAfter: one(3, duration),
});

const renewResponse = messageType("flowctl.registry.v1.RenewResponse", {
  working: one(1, issuedCertificate),
  renewAfter: one(2, duration),
});

const nothing = (name: string) => messageType(`flowctl.registry.v1.${name}`, {});

const service = "/flowctl.registry.v1.ComponentRegistry";

/** The methods of flowctl.registry.v1.ComponentRegistry. */
export const componentRegistry = {
  join: method(`${service}/Join`, nothing("JoinRequest"), joinResponse),
  renew: method(`${service}/Renew`, nothing("RenewRequest"), renewResponse),
  registerComponent: method(`${service}/RegisterComponent`, registerRequest, registerResponse),
  heartbeat: method(`${service}/Heartbeat`, heartbeatRequest, nothing("HeartbeatResponse")),
  deregisterComponent: method(
    `${service}/DeregisterComponent`,
    deregisterRequest,
    nothing("DeregisterComponentResponse"),
  ),
  getComponents: method(`${service}/GetComponents`, getComponentsRequest, getComponentsResponse),
  getComponentStatus: method(`${service}/GetComponentStatus`, getComponentStatusRequest, getComponentStatusResponse),
  watchTopology: method(`${service}/WatchTopology`, watchTopologyRequest, watchTopologyResponse, "answers"),
  saveCheckpoint: method(`${service}/SaveCheckpoint`, saveCheckpointRequest, nothing("SaveCheckpointResponse")),
};
