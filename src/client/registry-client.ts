import { FlowctlError } from "../foundation/errors.ts";
import { linkedSignal } from "../foundation/linked-signal.ts";
import type { IssuedCertificate } from "../identity/authority.ts";
import type { IdentitySource } from "../identity/tls-identity.ts";
import type { MessageOf } from "../protocol/message-type.ts";
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
import { fromTime, invalidMessage } from "../protocol/wire-values.ts";
import type { ComponentIdentity, Joined, RegistryClient, Working } from "./client.ts";
import { connect } from "./connection.ts";

/**
 * A component's client of the control plane at `address` (`host:port`). Nothing is sent before the first call; after a
 * break the connection comes back by itself, and calls made meanwhile reject with `client/unreachable`.
 *
 * @param tls How it proves who it is; left out: it speaks in the clear.
 */
export function connectRegistry(address: string, identity: ComponentIdentity, tls?: IdentitySource): RegistryClient {
  const connection = connect(address, tls);
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
      let isOld: boolean;
      do {
        isOld = false;
        // A stream that stayed where it is would hold the connection before, beside the one that all else goes over.
        const renewed = new AbortController();
        const forget = tls?.onChange(() => {
          isOld = true;
          renewed.abort();
        });
        const current = linkedSignal(signal, renewed.signal);
        try {
          const messages = connection.stream(
            componentRegistry.watchTopology,
            instance,
            { finite: false },
            current.signal,
          );
          for await (const message of messages) yield decodeTopology(message.topology);
        } finally {
          forget?.();
          current.release();
        }
      } while (isOld && !signal.aborted);
    },
    async saveCheckpoint(save, signal) {
      await connection.call(componentRegistry.saveCheckpoint, encodeSave(caller, save), signal);
    },
    async renew(signal) {
      return decodeWorking(await connection.call(componentRegistry.renew, {}, signal));
    },
    close: () => connection.close(),
  };
}

/**
 * Gives away the joining certificate `joining`, at the control plane at `address`. Rejects with `identity/used`, `identity/superseded`, or as
 * the calls of a RegistryClient do.
 */
export async function joinPipeline(address: string, joining: IdentitySource, signal: AbortSignal): Promise<Joined> {
  const connection = connect(address, joining);
  try {
    const answer = await connection.call(componentRegistry.join, {}, signal);
    return { ...decodeWorking(answer), next: requireIssued(answer.joining) };
  } finally {
    connection.close();
  }
}

function decodeWorking({ working, renewAfter }: MessageOf<typeof componentRegistry.renew.response>): Working {
  return { working: requireIssued(working), renewAfterMs: fromTime(renewAfter) };
}

function requireIssued(issued: IssuedCertificate | null): IssuedCertificate {
  if (issued === null) throw invalidMessage("working", "the answer has no certificate");
  return issued;
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
