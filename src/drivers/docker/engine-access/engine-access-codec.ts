import { FlowctlError } from "../../../foundation/errors.ts";
import type { MessageOf } from "../../../protocol/message-type.ts";
import type { DriverEvent, ObservedResource, ObservedState, ResourceKey } from "../../driver.ts";
import { CONTROL_PLANE, instanceIdentity } from "../../identity.ts";
import {
  action,
  type applyRequest,
  type container,
  eventType,
  health,
  type instance,
  kind,
  status,
  type watchEventsResponse,
} from "./engine-access-messages.ts";

type ContainerMessage = MessageOf<typeof container>;
type InstanceMessage = MessageOf<typeof instance>;
type ApplyMessage = MessageOf<typeof applyRequest>;
type EventMessage = MessageOf<typeof watchEventsResponse>;

/** Which container of the pipeline is meant, and what runs in it. */
export type Addressed = Pick<ObservedResource, "key" | "kind" | "owner" | "index">;

/** What is to be done to one container that there is. */
export interface Order {
  readonly action: "start" | "stop" | "restart";
  readonly instance: Addressed;
  readonly keepSecrets: boolean;
  /** End it at once instead of within its grace period. */
  readonly force: boolean;
}

/** What the control plane sees of a container. */
export type SeenContainer = Addressed & Pick<ObservedResource, "state" | "flaw" | "policy">;

/** Longer than any id that a pipeline file may have. */
const MAX_OWNER_CHARACTERS = 128;
/** More than any component has. */
const MAX_INDEX = 100_000;

/** Both ways of one type between the control plane and the engine access. */
export const orderCodec = { toMessage: toOrderMessage, fromMessage: fromOrderMessage };
export const instanceCodec = { toMessage: toInstanceMessage, fromMessage: fromInstanceMessage };
export const containerCodec = { toMessage: toContainerMessage, fromMessage: fromContainerMessage };
export const eventCodec = { toMessage: toEventMessage, fromMessage: fromEventMessage };

/** Whether the engine access has anything to do with a kind of resource. */
export function isAddressable({ kind: of }: Pick<ObservedResource, "kind">): boolean {
  return of === "component" || of === "service" || of === "control-plane";
}

function toOrderMessage({ instance: of, ...order }: Order): Partial<ApplyMessage> {
  return { ...order, action: action.of(order.action), instance: toInstanceMessage(of) };
}

/** Throws `docker/bad-request` for what is no order, or none that anybody may give. */
function fromOrderMessage(message: ApplyMessage): Order {
  const asked = action.to(message.action);
  if (asked === undefined) throw badRequest("unknown action");
  const of = fromInstanceMessage(message.instance);
  if (of.kind === "control-plane" && asked !== "start") throw badRequest(`it may not ${asked} the control plane`);
  return { action: asked, instance: of, keepSecrets: message.keepSecrets, force: message.force };
}

function toInstanceMessage({ kind: of, owner, index }: Pick<Addressed, "kind" | "owner" | "index">): InstanceMessage {
  const name = of === "control-plane" ? "control_plane" : of;
  if (name !== "control_plane" && name !== "component" && name !== "service") throw badRequest(`${of} is no container`);
  return { kind: kind.of(name), owner, index };
}

/** Throws `docker/bad-request` for what names none. The key is made here: it becomes part of what the engine is asked. */
function fromInstanceMessage(message: InstanceMessage | null): Addressed {
  const of = kind.to(message?.kind ?? "");
  if (message === null || of === undefined) throw badRequest("it names no instance");
  if (of === "control_plane") return CONTROL_PLANE;
  const { owner, index } = message;
  const isOwner = owner.length <= MAX_OWNER_CHARACTERS && /^[a-z0-9][a-z0-9_-]*$/.test(owner);
  if (!isOwner || index === 0 || index > MAX_INDEX) throw badRequest("it names no instance");
  return instanceIdentity(of, owner, index);
}

function toContainerMessage({ state, flaw = "", policy, ...of }: SeenContainer): ContainerMessage {
  return { instance: toInstanceMessage(of), ...stateFields(state), flaw, policy: policyMessage(policy) };
}

function stateFields(state: ObservedState): Omit<ContainerMessage, "instance" | "flaw" | "policy"> {
  const none = { startedAt: 0, exitCode: 0, oomKilled: false, finishedAt: 0, restarts: 0, health: "none" } as const;
  const { status: name, health: how, ...rest } = { ...none, ...state };
  return { ...rest, status: status.of(name), health: health.of(how) };
}

function policyMessage(policy: SeenContainer["policy"]): ContainerMessage["policy"] {
  if (policy === undefined) return null;
  const { maxRestarts, memoryLimitBytes = 0 } = policy;
  return { maxRestarts: Number.isFinite(maxRestarts) ? maxRestarts : undefined, memoryLimitBytes };
}

/** Throws `docker/bad-request` for what makes no sense. */
function fromContainerMessage({ instance: of, flaw, policy, ...state }: ContainerMessage): SeenContainer {
  return {
    ...fromInstanceMessage(of),
    state: stateOf(state),
    ...(flaw === "" ? {} : { flaw }),
    ...(policy === null
      ? {}
      : {
          policy: {
            maxRestarts: policy.maxRestarts ?? Number.POSITIVE_INFINITY,
            ...(policy.memoryLimitBytes === 0 ? {} : { memoryLimitBytes: policy.memoryLimitBytes }),
          },
        }),
  };
}

function stateOf(message: Omit<ContainerMessage, "instance" | "flaw" | "policy">): ObservedState {
  const { startedAt, restarts, exitCode, oomKilled, finishedAt } = message;
  const name = status.require(message.status, "status");
  switch (name) {
    case "created":
    case "paused":
      return { status: name };
    case "running":
      return { status: name, startedAt, restarts, health: health.to(message.health) ?? "none" };
    case "restarting":
      return { status: name, exitCode, restarts };
    case "exited":
      return { status: name, exitCode, oomKilled, finishedAt, restarts };
  }
}

function toEventMessage(event: DriverEvent): Partial<EventMessage> {
  const { type, ...rest } = event;
  return { ...rest, type: eventType.of(event.type === "health" ? event.health : event.type) };
}

/** Undefined for a kind of event that this version does not know. */
function fromEventMessage({ type, key: name, time, ...exit }: EventMessage): DriverEvent | undefined {
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
      return { type: known, key, time, ...exit };
    case undefined:
      return undefined;
  }
}

export function badRequest(what: string): FlowctlError {
  const message = `Invalid request to the engine access: ${what}`;
  return new FlowctlError({ code: "docker/bad-request", kind: "invalid", message });
}
