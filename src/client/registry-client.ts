import { FlowctlError } from "../foundation/errors.ts";
import type { InstanceMetrics } from "../protocol/records.ts";
import {
  decodeRegistrationAnswer,
  encodeDeregistration,
  encodeRegistration,
  encodeSave,
  type IncarnationReference,
  type InstanceReference,
} from "../protocol/registry-codec.ts";
import { componentRegistry } from "../protocol/registry-messages.ts";
import { decodeTopology } from "../protocol/topology-codec.ts";
import type { ComponentIdentity, RegistryClient } from "./client.ts";
import { connect } from "./connection.ts";

/**
 * A component's client of the control plane at `address` (`host:port`). Nothing is sent before the first call; after a
 * break the connection comes back by itself, and calls made meanwhile reject with `client/unreachable`.
 */
export function connectRegistry(address: string, identity: ComponentIdentity): RegistryClient {
  const connection = connect(address);
  const instance: InstanceReference = {
    pipeline: identity.pipeline,
    componentId: identity.componentId,
    instanceId: identity.instanceId,
  };
  const caller: IncarnationReference = { ...instance, incarnation: identity.incarnation };
  return {
    async register(registration, signal) {
      const request = encodeRegistration({ ...caller, ...registration, type: identity.type });
      return decodeRegistrationAnswer(await connection.call(componentRegistry.registerComponent, request, signal));
    },
    async heartbeat(beat, signal) {
      try {
        await connection.call(componentRegistry.heartbeat, { ...caller, ...beat }, signal);
      } catch (error) {
        throw unknownInstance(error, identity.instanceId);
      }
    },
    async deregister(reason, message, metrics: InstanceMetrics, signal) {
      const request = encodeDeregistration({ ...caller, reason, message, metrics });
      try {
        await connection.call(componentRegistry.deregisterComponent, request, signal);
      } catch (error) {
        throw unknownInstance(error, identity.instanceId);
      }
    },
    async *watchTopology(signal) {
      const messages = connection.stream(componentRegistry.watchTopology, instance, { finite: false }, signal);
      for await (const message of messages) yield decodeTopology(message.topology);
    },
    async saveCheckpoint(save, signal) {
      await connection.call(componentRegistry.saveCheckpoint, encodeSave(caller, save), signal);
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
