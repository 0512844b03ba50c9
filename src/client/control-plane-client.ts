import type { IdentitySource } from "../identity/tls-identity.ts";
import { decodeGrant, encodeAccessRole } from "../protocol/access-codec.ts";
import { decodeComponent } from "../protocol/component-codec.ts";
import {
  decodeEvent,
  decodePipeline,
  encodeDesiredChange,
  encodeReport,
  encodeSpec,
  type ReplayMessage,
} from "../protocol/control-codec.ts";
import { pipelineControl } from "../protocol/control-messages.ts";
import { EventEncoder } from "../protocol/event-encoder.ts";
import { componentRegistry } from "../protocol/registry-messages.ts";
import { fromTime, invalidMessage } from "../protocol/wire-values.ts";
import type { ControlPlaneClient } from "./client.ts";
import { connect } from "./connection.ts";

/** A client of the control plane at `address` (`host:port`). It connects at the first call. Without an identity in the clear. */
export function connectControlPlane(address: string, identity?: IdentitySource): ControlPlaneClient {
  const connection = connect(address, identity);
  return {
    async applyPipeline(spec, signal, options = {}) {
      const { discard = false, existing = [], replaced = [], operation = 0, goingBack = false } = options;
      const request = { spec: encodeSpec(spec), discard, existing, replaced, operation, goingBack };
      return connection.call(pipelineControl.applyPipeline, request, signal);
    },
    async checkPipeline(spec, signal, { discard = false, existing = [], replaced = [], goingBack = false } = {}) {
      const request = { spec: encodeSpec(spec), discard, existing, replaced, goingBack };
      await connection.call(pipelineControl.checkPipeline, request, signal);
    },
    async getPipeline(signal) {
      return decodePipeline(await connection.call(pipelineControl.getPipeline, {}, signal));
    },
    async getComponents(signal) {
      const answer = await connection.call(componentRegistry.getComponents, {}, signal);
      return answer.components.map(decodeComponent);
    },
    async getComponentStatus(componentId, signal) {
      const answer = await connection.call(componentRegistry.getComponentStatus, { componentId }, signal);
      if (answer.component === null) throw invalidMessage("component", "the control plane returned no component");
      return decodeComponent(answer.component);
    },
    async *watchEvents(options, signal) {
      const request = { after: options.after, noFollow: !options.follow };
      const messages = connection.stream(pipelineControl.watchEvents, request, { finite: !options.follow }, signal);
      for await (const message of messages) yield decodeEvent(message);
    },
    async setDesiredState(change, signal, operation = 0) {
      const request = encodeDesiredChange(change, operation);
      return (await connection.call(pipelineControl.setDesiredState, request, signal)).changed;
    },
    async *holdOperation(name, { takeOver, unchangedSince = 0, unchangedForMs = 0 }, signal) {
      const request = { ...name, takeOver, unchangedSince, unchangedForMs };
      const messages = connection.stream(pipelineControl.holdOperation, request, { finite: false }, signal);
      for await (const { operation } of messages) yield operation;
    },
    async keepPipeline(content, signal) {
      await connection.call(pipelineControl.keepPipeline, { content }, signal);
    },
    async keptPipeline(signal) {
      const { healthy, latest } = await connection.call(pipelineControl.getKeptPipeline, {}, signal);
      return { ...(healthy.length > 0 ? { healthy } : {}), ...(latest.length > 0 ? { latest } : {}) };
    },
    async *replayEvents(componentId, events, signal) {
      async function* requests(): AsyncGenerator<Partial<ReplayMessage>> {
        yield { componentId };
        const encoder = new EventEncoder();
        for await (const event of events) {
          const { buffer, body, end } = encoder.encode({ ...event, timestamp: event.timestamp?.getTime() });
          yield { events: [buffer.subarray(body, end)] };
        }
      }
      yield* connection.exchange(pipelineControl.replayEvents, requests(), signal);
    },
    async reportInstance(report, signal) {
      await connection.call(pipelineControl.reportInstance, encodeReport(report), signal);
    },
    async grantAccess(name, role, signal) {
      return connection.call(pipelineControl.grantAccess, { name, role: encodeAccessRole(role) }, signal);
    },
    async revokeAccess(name, signal) {
      await connection.call(pipelineControl.revokeAccess, { name }, signal);
    },
    async listAccess(signal) {
      return (await connection.call(pipelineControl.listAccess, {}, signal)).grants.map(decodeGrant);
    },
    async rotateOwner(signal) {
      await connection.call(pipelineControl.rotateOwner, {}, signal);
    },
    async openSession(signal) {
      const { code, expiresIn } = await connection.call(pipelineControl.openSession, {}, signal);
      return { code, expiresInMs: fromTime(expiresIn) };
    },
    close: () => connection.close(),
  };
}
