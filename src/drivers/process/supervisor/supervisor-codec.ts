import { FlowctlError } from "../../../foundation/errors.ts";
import type { MessageOf } from "../../../protocol/message-type.ts";
import type { DriverEvent, ResourceKey } from "../../driver.ts";
import type { GrantedValues } from "../../grants.ts";
import { instanceIdentity } from "../../identity.ts";
import type { DesiredInstance, InstanceChange, ObservedInstance } from "../instance/instance-change.ts";
import { action, type applyRequest, ending, eventType, type watchEventsResponse } from "./supervisor-messages.ts";

type ApplyMessage = MessageOf<typeof applyRequest>;
type EventMessage = MessageOf<typeof watchEventsResponse>;

/** What the supervisor is to do with one instance. */
export interface InstanceOrder {
  readonly change: InstanceChange;
  /** End it at once instead of within its grace period. */
  readonly force: boolean;
  /** Only of what the component is granted. */
  readonly values: GrantedValues;
}

/** What becomes of the instances when the supervisor ends. */
export type Ending = "keep" | "stop" | "kill";

/** Both ways of one type between the supervisor and its messages. */
export const applyCodec = { toMessage: toApplyMessage, fromMessage: fromApplyMessage };
export const eventCodec = { toMessage: toEventMessage, fromMessage: fromEventMessage };

function toApplyMessage({ change, force, values }: InstanceOrder): Partial<ApplyMessage> {
  const { owner, index } = "resource" in change ? change.resource : change.observed;
  return {
    action: action.of(change.action),
    owner,
    index,
    force,
    ...("observed" in change ? { ref: change.observed.ref } : {}),
    ...("resource" in change ? desiredFields(change.resource) : {}),
    ...(change.action === "stop" ? { keepSecrets: change.keepSecrets ?? false } : {}),
    secrets: Object.fromEntries(values.secretValues),
    configs: Object.fromEntries(values.configValues),
  };
}

function desiredFields({ hash, parts, spec }: DesiredInstance): Partial<ApplyMessage> {
  return { hash, parts, spec: Buffer.from(JSON.stringify(spec)) };
}

/** Throws `process/bad-request` for what is no order. What an instance is made of is not looked at. */
function fromApplyMessage(message: ApplyMessage): InstanceOrder {
  const values = {
    secretValues: new Map(Object.entries(message.secrets)),
    configValues: new Map(Object.entries(message.configs)),
  };
  return { change: changeOf(message), force: message.force, values };
}

function changeOf(message: ApplyMessage): InstanceChange {
  const { owner, index, ref } = message;
  // Its name becomes one of files: it has to be one that the pipeline file may have.
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(owner) || index === 0) throw badRequest("it names no instance");
  const { key } = instanceIdentity("component", owner, index);
  const observed: ObservedInstance = { key, owner, index, ref };
  const desired = (): DesiredInstance => {
    const { hash, parts, spec } = message;
    return { key, owner, index, hash, parts, spec: objectOf(spec) };
  };
  const asked = action.to(message.action);
  switch (asked) {
    case "create":
      return { action: asked, resource: desired() };
    case "replace":
      return { action: asked, resource: desired(), observed };
    case "start":
    case "restart":
    case "remove":
      return { action: asked, observed };
    case "stop":
      return { action: asked, observed, keepSecrets: message.keepSecrets };
    case undefined:
      throw badRequest("unknown action");
  }
}

function objectOf(json: Uint8Array): object {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(json).toString());
  } catch (error) {
    throw badRequest("spec must be JSON", error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw badRequest("spec must be an object");
  return value;
}

/** How the supervisor is to end. Throws `process/bad-request`. */
export function endingOf(name: string): Ending {
  const asked = ending.to(name);
  if (asked === undefined) throw badRequest("it does not say what becomes of the instances");
  return asked;
}

function badRequest(what: string, cause?: unknown): FlowctlError {
  const message = `Invalid request to the supervisor: ${what}`;
  return new FlowctlError({ code: "process/bad-request", kind: "invalid", message, cause });
}

function toEventMessage(event: DriverEvent): Partial<EventMessage> {
  const { key, time } = event;
  if (event.type === "exited") return { type: eventType.of("exited"), key, time, exitCode: event.exitCode };
  return { type: eventType.of(event.type === "health" ? event.health : event.type), key, time };
}

/** Undefined for a kind of event that this version does not know. */
function fromEventMessage({ type, key: name, time, exitCode }: EventMessage): DriverEvent | undefined {
  const key = name as ResourceKey;
  const known = eventType.to(type);
  switch (known) {
    case "started":
    case "removed":
      return { type: known, key, time };
    case "healthy":
    case "unhealthy":
      return { type: "health", key, time, health: known };
    case "exited":
      // Processes are not limited in memory, and restarted by the control plane alone.
      return { type: known, key, time, exitCode, oomKilled: false, willRestart: false };
    case undefined:
      return undefined;
  }
}
