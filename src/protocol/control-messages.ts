import { bool, bytes, enumType, int32, list, map, messageType, one, string, uint32, uint64 } from "./message-type.ts";
import { buffer, component, componentType, connections, duration, onError, timestamp } from "./registry-messages.ts";
import { method } from "./service-methods.ts";

/** What `flowctl/control/v1/control.proto` says, as tables. A test compares them with the file. */

export const pipelineState = enumType("flowctl.control.v1.PipelineState", "PIPELINE_STATE", [
  "starting",
  "running",
  "degraded",
  "stopping",
  "completed",
  "failed",
]);

export const observation = enumType("flowctl.control.v1.ReportInstanceRequest.Observation", "OBSERVATION", [
  "started",
  "exited",
  "stopping",
  "removed",
]);

export const inputSpec = messageType("flowctl.control.v1.InputSpec", {
  from: one(1, string),
  types: list(2, string),
  buffer: one(3, buffer),
});

export const componentSpec = messageType("flowctl.control.v1.ComponentSpec", {
  componentId: one(1, string),
  type: one(2, componentType),
  replicas: one(3, uint32),
  inputs: list(4, inputSpec),
  consumes: list(5, string),
  produces: list(6, string),
  onError: one(7, onError),
  partitionBy: one(8, string),
  maxRestarts: one(9, uint32),
  startDeadlineMs: one(10, uint32),
  instanceIds: list(11, string),
  memoryLimitBytes: one(16, uint64),
});

export const pipelineSpec = messageType("flowctl.control.v1.PipelineSpec", {
  name: one(1, string),
  components: list(2, componentSpec),
  driver: one(3, string),
});

export const checkRequest = messageType("flowctl.control.v1.CheckPipelineRequest", {
  spec: one(1, pipelineSpec),
  discard: one(2, bool),
  existing: list(3, string),
  replaced: list(4, string),
  goingBack: one(5, bool),
});

export const applyRequest = messageType("flowctl.control.v1.ApplyPipelineRequest", {
  spec: one(1, pipelineSpec),
  discard: one(2, bool),
  existing: list(3, string),
  replaced: list(4, string),
  operation: one(5, uint64),
  goingBack: one(6, bool),
});

const applyResponse = messageType("flowctl.control.v1.ApplyPipelineResponse", {
  changed: one(1, bool),
});

const draining = messageType("flowctl.control.v1.Draining", {
  componentId: one(1, string),
  instanceId: one(2, string),
  from: one(3, string),
});

export const pipeline = messageType("flowctl.control.v1.GetPipelineResponse", {
  pipelineId: one(1, string),
  name: one(2, string),
  state: one(3, pipelineState),
  reason: one(4, string),
  startedAt: one(5, timestamp),
  finishedAt: one(6, timestamp),
  components: list(7, component),
  topology: map(8, connections),
  driver: one(9, string),
  draining: list(11, draining),
  spec: one(12, pipelineSpec),
});

export const watchEventsRequest = messageType("flowctl.control.v1.WatchEventsRequest", {
  after: one(1, uint64),
  noFollow: one(2, bool),
});

export const event = messageType("flowctl.control.v1.WatchEventsResponse", {
  sequence: one(1, uint64),
  time: one(2, timestamp),
  type: one(3, string),
  componentId: one(4, string),
  instanceId: one(5, string),
  message: one(6, string),
  from: one(7, string),
  to: one(8, string),
  attributes: map(9, string),
});

export const report = messageType("flowctl.control.v1.ReportInstanceRequest", {
  componentId: one(1, string),
  instanceId: one(2, string),
  observation: one(3, observation),
  exitCode: one(4, int32),
  oomKilled: one(5, bool),
  willRestart: one(6, bool),
  message: one(7, string),
});

export const setDesiredRequest = messageType("flowctl.control.v1.SetDesiredStateRequest", {
  running: list(1, string),
  stopped: list(2, string),
  allStopped: one(3, bool),
  renewed: list(4, string),
  started: list(5, string),
  operation: one(6, uint64),
});

const setDesiredResponse = messageType("flowctl.control.v1.SetDesiredStateResponse", { changed: list(1, string) });

export const holdRequest = messageType("flowctl.control.v1.HoldOperationRequest", {
  command: one(1, string),
  holder: one(2, string),
  takeOver: one(3, bool),
  unchangedSince: one(4, uint64),
  unchangedForMs: one(5, uint64),
});

const holdResponse = messageType("flowctl.control.v1.HoldOperationResponse", {
  operation: one(1, uint64),
});

const keepRequest = messageType("flowctl.control.v1.KeepPipelineRequest", {
  content: one(1, bytes),
});

const kept = messageType("flowctl.control.v1.GetKeptPipelineResponse", {
  healthy: one(1, bytes),
  latest: one(2, bytes),
});

export const replayRequest = messageType("flowctl.control.v1.ReplayEventsRequest", {
  componentId: one(1, string),
  events: list(2, bytes),
});

export const replayResponse = messageType("flowctl.control.v1.ReplayEventsResponse", {
  upstreamId: one(1, string),
  acknowledged: list(2, uint64),
});

export const accessRole = enumType("flowctl.control.v1.AccessRole", "ACCESS_ROLE", ["reader", "operator"]);

export const grantRequest = messageType("flowctl.control.v1.GrantAccessRequest", {
  name: one(1, string),
  role: one(2, accessRole),
});

const grantResponse = messageType("flowctl.control.v1.GrantAccessResponse", {
  certificate: one(1, string),
  key: one(2, string),
});

export const revokeRequest = messageType("flowctl.control.v1.RevokeAccessRequest", {
  name: one(1, string),
});

export const accessGrant = messageType("flowctl.control.v1.AccessGrant", {
  name: one(1, string),
  role: one(2, accessRole),
  grantedAt: one(3, timestamp),
  grantedBy: one(4, string),
});

const accessList = messageType("flowctl.control.v1.ListAccessResponse", {
  grants: list(1, accessGrant),
});

const openedSession = messageType("flowctl.control.v1.OpenSessionResponse", {
  code: one(1, string),
  expiresIn: one(2, duration),
});

const nothing = (name: string) => messageType(`flowctl.control.v1.${name}`, {});

const service = "/flowctl.control.v1.PipelineControl";

/** The methods of flowctl.control.v1.PipelineControl. */
export const pipelineControl = {
  applyPipeline: method(`${service}/ApplyPipeline`, applyRequest, applyResponse),
  checkPipeline: method(`${service}/CheckPipeline`, checkRequest, nothing("CheckPipelineResponse")),
  getPipeline: method(`${service}/GetPipeline`, nothing("GetPipelineRequest"), pipeline),
  watchEvents: method(`${service}/WatchEvents`, watchEventsRequest, event, "answers"),
  setDesiredState: method(`${service}/SetDesiredState`, setDesiredRequest, setDesiredResponse),
  holdOperation: method(`${service}/HoldOperation`, holdRequest, holdResponse, "answers"),
  keepPipeline: method(`${service}/KeepPipeline`, keepRequest, nothing("KeepPipelineResponse")),
  getKeptPipeline: method(`${service}/GetKeptPipeline`, nothing("GetKeptPipelineRequest"), kept),
  replayEvents: method(`${service}/ReplayEvents`, replayRequest, replayResponse, "both"),
  reportInstance: method(`${service}/ReportInstance`, report, nothing("ReportInstanceResponse")),
  grantAccess: method(`${service}/GrantAccess`, grantRequest, grantResponse),
  revokeAccess: method(`${service}/RevokeAccess`, revokeRequest, nothing("RevokeAccessResponse")),
  listAccess: method(`${service}/ListAccess`, nothing("ListAccessRequest"), accessList),
  rotateOwner: method(`${service}/RotateOwner`, nothing("RotateOwnerRequest"), nothing("RotateOwnerResponse")),
  openSession: method(`${service}/OpenSession`, nothing("OpenSessionRequest"), openedSession),
};
