import {
  bool,
  bytes,
  enumType,
  int32,
  map,
  messageType,
  one,
  string,
  uint32,
  uint64,
} from "../../../protocol/message-type.ts";
import { method } from "../../../protocol/service-methods.ts";

/** What `supervisor.proto` says, as tables. A test compares them with the file. */

/** A request may have so many bytes: secrets and configs that a component is granted, and what is around them. */
export const MAX_REQUEST_BYTES = 64 * 1024 * 1024;

const named = "flowctl.supervisor.v2";

export const action = enumType(`${named}.Action`, "ACTION", [
  "create",
  "replace",
  "start",
  "stop",
  "restart",
  "remove",
]);

export const eventType = enumType(`${named}.EventType`, "EVENT_TYPE", [
  "started",
  "exited",
  "healthy",
  "unhealthy",
  "removed",
]);

export const ending = enumType(`${named}.Ending`, "ENDING", ["keep", "stop", "kill"]);

export const helloResponse = messageType(`${named}.HelloResponse`, {
  version: one(1, string),
  pid: one(2, uint32),
  grpc: one(3, string),
  http: one(4, string),
  secure: one(5, bool),
});

export const applyRequest = messageType(`${named}.ApplyRequest`, {
  action: one(1, action),
  owner: one(2, string),
  index: one(3, uint32),
  ref: one(4, string),
  hash: one(5, string),
  parts: map(6, string),
  spec: one(7, bytes),
  keepSecrets: one(8, bool),
  force: one(9, bool),
  secrets: map(10, bytes),
  configs: map(11, bytes),
});

const watchEventsRequest = messageType(`${named}.WatchEventsRequest`, { since: one(1, uint64) });

export const watchEventsResponse = messageType(`${named}.WatchEventsResponse`, {
  type: one(1, eventType),
  key: one(2, string),
  time: one(3, uint64),
  exitCode: one(4, int32),
});

const shutdownRequest = messageType(`${named}.ShutdownRequest`, { instances: one(1, ending) });

const nothing = (name: string) => messageType(`${named}.${name}`, {});

const service = `/${named}.Supervisor`;

/** The methods of flowctl.supervisor.v2.Supervisor. */
export const supervisorService = {
  hello: method(`${service}/Hello`, nothing("HelloRequest"), helloResponse),
  apply: method(`${service}/Apply`, applyRequest, nothing("ApplyResponse")),
  watchEvents: method(`${service}/WatchEvents`, watchEventsRequest, watchEventsResponse, "answers"),
  shutdown: method(`${service}/Shutdown`, shutdownRequest, nothing("ShutdownResponse")),
};
