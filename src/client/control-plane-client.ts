import { type ComponentMessage, decodeComponent } from "../protocol/component-codec.ts";
import {
  decodeEvent,
  decodePipeline,
  type EventMessage,
  encodeReport,
  encodeSpec,
  type PipelineMessage,
  type PipelineSpecMessage,
  type ReportMessage,
} from "../protocol/control-codec.ts";
import { invalidMessage } from "../protocol/wire-values.ts";
import type { ControlPlaneClient } from "./client.ts";
import { connect } from "./connection.ts";

/** A client of the control plane at `address` (`host:port`). It connects at the first call. */
export function connectControlPlane(address: string): ControlPlaneClient {
  const control = connect(address, "flowctl.control.v1.PipelineControl");
  const registry = connect(address, "flowctl.registry.v1.ComponentRegistry");
  return {
    async applyPipeline(spec, signal) {
      return control.call<{ readonly spec: PipelineSpecMessage }, { readonly changed: boolean }>(
        "ApplyPipeline",
        { spec: encodeSpec(spec) },
        signal,
      );
    },
    async getPipeline(signal) {
      return decodePipeline(await control.call<object, PipelineMessage>("GetPipeline", {}, signal));
    },
    async getComponents(signal) {
      const answer = await registry.call<object, { readonly components: readonly ComponentMessage[] }>(
        "GetComponents",
        {},
        signal,
      );
      return answer.components.map(decodeComponent);
    },
    async getComponentStatus(componentId, signal) {
      const answer = await registry.call<
        { readonly componentId: string },
        { readonly component: ComponentMessage | null }
      >("GetComponentStatus", { componentId }, signal);
      if (answer.component === null)
        throw invalidMessage("component", "the control plane answered without a component");
      return decodeComponent(answer.component);
    },
    async *watchEvents(options, signal) {
      const messages = control.stream<{ readonly after: number; readonly noFollow: boolean }, EventMessage>(
        "WatchEvents",
        { after: options.after, noFollow: !options.follow },
        { finite: !options.follow },
        signal,
      );
      for await (const message of messages) yield decodeEvent(message);
    },
    async reportInstance(report, signal) {
      await control.call<ReportMessage, object>("ReportInstance", encodeReport(report), signal);
    },
    close() {
      control.close();
      registry.close();
    },
  };
}
