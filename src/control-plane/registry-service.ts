import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { FlowctlError, hasCode } from "../foundation/errors.ts";
import { requireItself } from "../identity/permissions.ts";
import { type ComponentMessage, encodeComponent } from "../protocol/component-codec.ts";
import type { MessageOf } from "../protocol/message-type.ts";
import {
  type DeregisterMessage,
  decodeDeregistration,
  decodeHeartbeat,
  decodeRegistration,
  decodeSave,
  encodeRegistrationAnswer,
  type HeartbeatMessage,
  type InstanceReference,
  type RegisterMessage,
  type RegistrationRequest,
  requireIncarnation,
  requireInstance,
  type SaveCheckpointMessage,
} from "../protocol/registry-codec.ts";
import { type componentRegistry, componentState, componentType } from "../protocol/registry-messages.ts";
import { toTime } from "../protocol/wire-values.ts";
import { type HandlerContext, serverStream, unary } from "./grpc-handlers.ts";
import type { Joined, Joins, Working } from "./joins.ts";
import type { PartitionTable } from "./partitions/partition-table.ts";
import type { Registry } from "./registry.ts";
import type { Replays } from "./replay/replays.ts";
import type { StateWriter } from "./state-writer.ts";
import { topologyOf, watchTopology } from "./watch-topology.ts";

export interface RegistryServiceParts {
  readonly registry: Registry;
  readonly partitions: PartitionTable;
  readonly replays: Replays;
  readonly writer: StateWriter;
  readonly heartbeatIntervalMs: number;
  /** Left out: the pipeline has no identity. */
  readonly joins?: Joins | undefined;
}

type JoinAnswer = MessageOf<typeof componentRegistry.join.response>;
type RenewAnswer = MessageOf<typeof componentRegistry.renew.response>;

interface GetComponentsMessage {
  readonly type: string;
  readonly state: string;
}

/** flowctl.registry.v1.ComponentRegistry over the registry. */
export function registryService(context: HandlerContext, parts: RegistryServiceParts): UntypedServiceImplementation {
  const { registry, partitions, writer } = parts;
  return {
    Join: unary(context, async (_: object, { peer }) => encodeJoined(await joins(parts).join(peer))),
    Renew: unary(context, async (_: object, { peer }) => encodeWorking(await joins(parts).renew(peer))),
    RegisterComponent: unary(context, async (message: RegisterMessage, { authority, peer }) => {
      requireItself(peer, message);
      const request = decodeRegistration(message);
      const { componentId, instanceId } = request;
      registry.requireInstance(request);
      if (request.type === "source") admit(registry, partitions, request);
      const before = registry.entry(componentId, instanceId)?.data.incarnation;
      registry.register(request);
      if (request.type === "source") {
        partitions.registered(request, before !== request.incarnation);
        // What it reads is on the disk before it is told.
        await partitions.settled(componentId);
      }
      // Nor is a topology told that a killed control plane might take back.
      await writer.durable();
      return encodeRegistrationAnswer(request, {
        checkpoint: request.partitions === undefined ? partitions.wholePosition(componentId) : undefined,
        heartbeatInterval: parts.heartbeatIntervalMs,
        topology: topologyOf(parts, request, authority),
      });
    }),
    Heartbeat: unary(context, (message: HeartbeatMessage, { peer }) => {
      requireItself(peer, message);
      registry.heartbeat(decodeHeartbeat(message));
      return {};
    }),
    DeregisterComponent: unary(context, async (message: DeregisterMessage, { peer }) => {
      requireItself(peer, message);
      const request = decodeDeregistration(message);
      registry.deregister(request);
      if (request.reason === "completed") partitions.completed(request);
      else partitions.refresh(request.componentId);
      // Nobody will say it again: that a component has completed must not be forgotten.
      await writer.durable();
      return {};
    }),
    GetComponents: unary(context, ({ type, state }: GetComponentsMessage) => {
      const wantedType = componentType.to(type);
      const wantedState = componentState.to(state);
      const components = registry
        .components()
        .filter((component) => wantedType === undefined || component.type === wantedType)
        .filter((component) => wantedState === undefined || component.state === wantedState);
      return { components: components.map(encodeComponent) };
    }),
    GetComponentStatus: unary(
      context,
      ({ componentId }: { readonly componentId: string }, { peer }): { readonly component: ComponentMessage } => {
        requireItself(peer, { componentId });
        return { component: encodeComponent(registry.component(componentId)) };
      },
    ),
    WatchTopology: serverStream(context, (message: InstanceReference, signal, { authority, peer }) => {
      requireItself(peer, message);
      requireInstance(message);
      // After a restart of the control plane this is where components come back first: they are told to register.
      registry.topology(message);
      registry.requireHeard(message);
      return watchTopology(parts, message, authority, signal);
    }),
    SaveCheckpoint: unary(context, async (message: SaveCheckpointMessage, { peer }) => {
      requireItself(peer, message);
      requireIncarnation(message);
      registry.current(message);
      await partitions.save(message, decodeSave(message));
      return {};
    }),
  };
}

function joins(parts: RegistryServiceParts): Joins {
  if (parts.joins !== undefined) return parts.joins;
  throw new FlowctlError({
    code: "identity/off",
    kind: "conflict",
    message: "this pipeline has no identity: everybody speaks in the clear",
    fix: "Do not join where FLOWCTL_TLS_CERT is not set.",
  });
}

function encodeWorking({ working, renewAfterMs }: Working): RenewAnswer {
  return { working, renewAfter: toTime(renewAfterMs) };
}

function encodeJoined({ next, ...working }: Joined): JoinAnswer {
  return { ...encodeWorking(working), joining: next };
}

/** Whether a source may register now; one that has to wait is no program that hangs. */
function admit(registry: Registry, partitions: PartitionTable, request: RegistrationRequest): void {
  try {
    partitions.admit(request);
  } catch (error) {
    if (hasCode(error, "registry/stands-by")) registry.waits(request);
    throw error;
  }
}
