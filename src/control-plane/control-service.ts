import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import {
  decodeReport,
  decodeSpec,
  type EventMessage,
  encodeEvent,
  encodePipeline,
  type PipelineSpecMessage,
  type ReportMessage,
} from "../protocol/control-codec.ts";
import type { InstanceReport } from "../protocol/records.ts";
import type { EventLog } from "./event-log.ts";
import { type HandlerContext, serverStream, unary } from "./grpc-handlers.ts";
import type { Registry } from "./registry.ts";
import type { StateWriter } from "./state-writer.ts";

export interface ControlServiceParts {
  readonly registry: Registry;
  readonly events: EventLog;
  readonly writer: StateWriter;
  readonly report: (report: InstanceReport) => void;
}

interface WatchEventsMessage {
  readonly after: number;
  readonly noFollow: boolean;
}

/** flowctl.control.v1.PipelineControl over the registry and the event log. */
export function controlService(context: HandlerContext, parts: ControlServiceParts): UntypedServiceImplementation {
  const { registry, events, writer } = parts;
  return {
    ApplyPipeline: unary(context, async ({ spec }: { readonly spec: PipelineSpecMessage | null }) => {
      const changed = registry.apply(decodeSpec(spec));
      await writer.durable();
      return { changed };
    }),
    GetPipeline: unary(context, () => encodePipeline(registry.pipeline())),
    WatchEvents: serverStream(context, ({ after, noFollow }: WatchEventsMessage, signal) =>
      watchEvents(events, after, noFollow, signal),
    ),
    ReportInstance: unary(context, (message: ReportMessage) => {
      parts.report(decodeReport(message));
      return {};
    }),
  };
}

async function* watchEvents(
  events: EventLog,
  after: number,
  noFollow: boolean,
  signal: AbortSignal,
): AsyncGenerator<EventMessage> {
  if (noFollow) {
    for (const event of events.after(after)) yield encodeEvent(event);
    return;
  }
  for await (const event of events.follow(after, signal)) yield encodeEvent(event);
}
