import {
  bool,
  enumType,
  int32,
  list,
  messageType,
  one,
  optional,
  string,
  uint32,
  uint64,
} from "../../../protocol/message-type.ts";
import { method } from "../../../protocol/service-methods.ts";

/** What `engine_access.proto` says, as tables. A test compares them with the file. */

const named = "flowctl.engineaccess.v1";

export const kind = enumType(`${named}.Kind`, "KIND", ["component", "service", "control_plane"]);

export const status = enumType(`${named}.Status`, "STATUS", ["created", "running", "restarting", "paused", "exited"]);

export const health = enumType(`${named}.Health`, "HEALTH", ["none", "starting", "healthy", "unhealthy"]);

export const action = enumType(`${named}.Action`, "ACTION", ["start", "stop", "restart"]);

export const eventType = enumType(`${named}.EventType`, "EVENT_TYPE", [
  "started",
  "exited",
  "healthy",
  "unhealthy",
  "removed",
]);

export const instance = messageType(`${named}.Instance`, {
  kind: one(1, kind),
  owner: one(2, string),
  index: one(3, uint32),
});

const policy = messageType(`${named}.Policy`, {
  maxRestarts: optional(1, uint32),
  memoryLimitBytes: one(2, uint64),
});

export const container = messageType(`${named}.Container`, {
  instance: one(1, instance),
  status: one(2, status),
  startedAt: one(3, uint64),
  health: one(4, health),
  exitCode: one(5, int32),
  oomKilled: one(6, bool),
  finishedAt: one(7, uint64),
  restarts: one(8, uint32),
  flaw: one(9, string),
  policy: one(10, policy),
});

export const applyRequest = messageType(`${named}.ApplyRequest`, {
  action: one(1, action),
  instance: one(2, instance),
  keepSecrets: one(3, bool),
  force: one(4, bool),
});

export const watchEventsResponse = messageType(`${named}.WatchEventsResponse`, {
  type: one(1, eventType),
  key: one(2, string),
  time: one(3, uint64),
  exitCode: one(4, int32),
  oomKilled: one(5, bool),
  willRestart: one(6, bool),
});

const observeResponse = messageType(`${named}.ObserveResponse`, { containers: list(1, container) });
const readLastLineRequest = messageType(`${named}.ReadLastLineRequest`, { instance: one(1, instance) });
const readLastLineResponse = messageType(`${named}.ReadLastLineResponse`, { text: one(1, string) });
const nothing = (name: string) => messageType(`${named}.${name}`, {});

const service = `/${named}.EngineAccess`;

/** The methods of flowctl.engineaccess.v1.EngineAccess. */
export const engineAccessService = {
  observe: method(`${service}/Observe`, nothing("ObserveRequest"), observeResponse),
  apply: method(`${service}/Apply`, applyRequest, nothing("ApplyResponse")),
  watchEvents: method(`${service}/WatchEvents`, nothing("WatchEventsRequest"), watchEventsResponse, "answers"),
  readLastLine: method(`${service}/ReadLastLine`, readLastLineRequest, readLastLineResponse),
};
