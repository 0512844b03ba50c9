import { FlowctlError } from "../foundation/errors.ts";
import type { InstanceMetrics } from "../protocol/records.ts";
import {
  type DeregisterMessage,
  decodeRegistrationAnswer,
  encodeDeregistration,
  encodeRegistration,
  type HeartbeatMessage,
  type IncarnationReference,
  type InstanceReference,
  type RegisterMessage,
  type RegisterResponseMessage,
  type SaveCheckpointMessage,
} from "../protocol/registry-codec.ts";
import { decodeTopology, type TopologyMessage } from "../protocol/topology-codec.ts";
import type { ComponentIdentity, RegistryClient } from "./client.ts";
import { connect } from "./connection.ts";

/**
 * A component's client of the control plane at `address` (`host:port`). Nothing is sent before the first call; after a
 * break the connection comes back by itself, and calls made meanwhile reject with `client/unreachable`.
 */
export function connectRegistry(address: string, identity: ComponentIdentity): RegistryClient {
  const connection = connect(address, "flowctl.registry.v1.ComponentRegistry");
  const instance: InstanceReference = {
    pipeline: identity.pipeline,
    componentId: identity.componentId,
    instanceId: identity.instanceId,
  };
  const caller: IncarnationReference = { ...instance, incarnation: identity.incarnation };
  return {
    async register(registration, signal) {
      const request = encodeRegistration({ ...caller, ...registration, type: identity.type });
      const answer = await connection.call<RegisterMessage, RegisterResponseMessage>(
        "RegisterComponent",
        request,
        signal,
      );
      return decodeRegistrationAnswer(answer);
    },
    async heartbeat(beat, signal) {
      try {
        await connection.call<HeartbeatMessage, object>("Heartbeat", { ...caller, ...beat }, signal);
      } catch (error) {
        throw unknownInstance(error, identity.instanceId);
      }
    },
    async deregister(reason, message, metrics: InstanceMetrics, signal) {
      const request = encodeDeregistration({ ...caller, reason, message, metrics });
      try {
        await connection.call<DeregisterMessage, object>("DeregisterComponent", request, signal);
      } catch (error) {
        throw unknownInstance(error, identity.instanceId);
      }
    },
    async *watchTopology(signal) {
      const messages = connection.stream<InstanceReference, { readonly topology: TopologyMessage | null }>(
        "WatchTopology",
        instance,
        { finite: false },
        signal,
      );
      for await (const message of messages) yield decodeTopology(message.topology);
    },
    async saveCheckpoint(position, signal) {
      await connection.call<SaveCheckpointMessage, object>("SaveCheckpoint", { ...caller, position }, signal);
    },
    close: () => connection.close(),
  };
}

/** The protocol says it by the status NOT_FOUND alone; whether an error code of flowctl's comes with it is up to the server. */
function unknownInstance(error: unknown, instanceId: string): unknown {
  if (!(error instanceof FlowctlError) || error.kind !== "not-found" || error.code !== "client/call-failed")
    return error;
  return new FlowctlError({
    code: "registry/unknown-instance",
    kind: "not-found",
    message: `the control plane does not know instance ${instanceId}`,
    cause: error,
  });
}
