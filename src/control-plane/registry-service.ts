import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import { type ComponentMessage, componentState, componentType, encodeComponent } from "../protocol/component-codec.ts";
import {
  type DeregisterMessage,
  decodeDeregistration,
  decodeRegistration,
  encodeRegistrationAnswer,
  type HeartbeatMessage,
  type InstanceReference,
  type RegisterMessage,
  requireIncarnation,
  requireInstance,
  type SaveCheckpointMessage,
} from "../protocol/registry-codec.ts";
import { encodeTopology, type TopologyMessage } from "../protocol/topology-codec.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { type HandlerContext, serverStream, unary } from "./grpc-handlers.ts";
import type { Registry } from "./registry.ts";
import type { StateWriter } from "./state-writer.ts";

export interface RegistryServiceParts {
  readonly registry: Registry;
  readonly checkpoints: Checkpoints;
  readonly writer: StateWriter;
  readonly heartbeatIntervalMs: number;
}

interface GetComponentsMessage {
  readonly type: string;
  readonly state: string;
}

/** flowctl.registry.v1.ComponentRegistry over the registry. */
export function registryService(context: HandlerContext, parts: RegistryServiceParts): UntypedServiceImplementation {
  const { registry, checkpoints, writer } = parts;
  return {
    RegisterComponent: unary(context, (message: RegisterMessage) => {
      const request = decodeRegistration(message);
      registry.register(request);
      return encodeRegistrationAnswer(request, {
        checkpoint: checkpoints.get(request),
        heartbeatInterval: parts.heartbeatIntervalMs,
        topology: registry.topology(request),
      });
    }),
    Heartbeat: unary(context, (message: HeartbeatMessage) => {
      requireIncarnation(message);
      registry.heartbeat(message);
      return {};
    }),
    DeregisterComponent: unary(context, async (message: DeregisterMessage) => {
      registry.deregister(decodeDeregistration(message));
      // Nobody will say it again: that a component has completed must not be forgotten.
      await writer.durable();
      return {};
    }),
    GetComponents: unary(context, ({ type, state }: GetComponentsMessage) => {
      const wantedType = componentType.decode(type);
      const wantedState = componentState.decode(state);
      const components = registry
        .components()
        .filter((component) => wantedType === undefined || component.type === wantedType)
        .filter((component) => wantedState === undefined || component.state === wantedState);
      return { components: components.map(encodeComponent) };
    }),
    GetComponentStatus: unary(
      context,
      ({ componentId }: { readonly componentId: string }): { readonly component: ComponentMessage } => ({
        component: encodeComponent(registry.component(componentId)),
      }),
    ),
    WatchTopology: serverStream(context, (message: InstanceReference, signal) => {
      requireInstance(message);
      // After a restart of the control plane this is where components come back first: they are told to register.
      registry.topology(message);
      registry.requireHeard(message);
      return watchTopology(registry, message, signal);
    }),
    SaveCheckpoint: unary(context, async (message: SaveCheckpointMessage) => {
      requireIncarnation(message);
      registry.current(message);
      await checkpoints.save(message, message.position);
      return {};
    }),
  };
}

async function* watchTopology(
  registry: Registry,
  reference: InstanceReference,
  signal: AbortSignal,
): AsyncGenerator<{ readonly topology: TopologyMessage }> {
  const changes = registry.topologyChanges(reference.componentId);
  let last = "";
  for (;;) {
    const seen = changes.version;
    const topology = encodeTopology(registry.topology(reference));
    const text = JSON.stringify(topology);
    if (text !== last) yield { topology };
    last = text;
    await changes.changed(seen, signal);
  }
}
