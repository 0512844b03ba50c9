import type { UntypedServiceImplementation } from "@grpc/grpc-js";
import {
  type ApplyMessage,
  type CheckMessage,
  type DesiredStateMessage,
  decodeDesiredChange,
  decodeOperationName,
  decodeReport,
  decodeSpec,
  type EventMessage,
  encodeEvent,
  encodePipeline,
  type HoldOperationMessage,
  type ReplayMessage,
  type ReportMessage,
  type WatchEventsMessage,
} from "../protocol/control-codec.ts";
import type { InstanceReport, PipelineRecord } from "../protocol/records.ts";
import { type AccessParts, accessMethods } from "./access/access-service.ts";
import { desiredInstances } from "./desired-state.ts";
import { bidiStream, type HandlerContext, serverStream, unary } from "./grpc-handlers.ts";
import type { KeptPipelines } from "./kept-pipeline.ts";
import type { Operation } from "./operations.ts";
import type { PipelineEvents } from "./pipeline-events.ts";
import type { Registry } from "./registry.ts";
import type { Replays } from "./replay/replays.ts";
import type { StateWriter } from "./state-writer.ts";

export interface ControlServiceParts extends AccessParts {
  readonly registry: Registry;
  readonly pipeline: () => PipelineRecord;
  readonly events: PipelineEvents;
  readonly writer: StateWriter;
  readonly kept: KeptPipelines;
  readonly replays: Replays;
  readonly now: () => number;
  readonly report: (report: InstanceReport) => void;
  /** Resolves when nothing is still being done to these instances, or when that takes too long to wait for. */
  readonly settled: (instanceIds: readonly string[]) => Promise<void>;
}

const empty = new Uint8Array();

/** flowctl.control.v1.PipelineControl over the registry and the event log. */
export function controlService(context: HandlerContext, parts: ControlServiceParts): UntypedServiceImplementation {
  const { registry, events, writer } = parts;
  return {
    ApplyPipeline: unary(context, async ({ spec, operation, ...options }: ApplyMessage) => {
      registry.operations.require(operation);
      const changed = registry.apply(decodeSpec(spec), options);
      parts.kept.applied();
      await writer.durable();
      return { changed };
    }),
    CheckPipeline: unary(context, ({ spec, ...options }: CheckMessage) => {
      registry.check(decodeSpec(spec), options);
      return {};
    }),
    GetPipeline: unary(context, () => encodePipeline(parts.pipeline())),
    WatchEvents: serverStream(context, ({ after, noFollow }: WatchEventsMessage, signal) =>
      watchEvents(events, after, noFollow, signal),
    ),
    SetDesiredState: unary(context, async (message: DesiredStateMessage) => {
      registry.operations.require(message.operation);
      const change = decodeDesiredChange(message);
      // What is just being given up would be stopped again.
      if (change.started?.length) {
        await parts.settled(change.started);
        registry.operations.require(message.operation);
      }
      const { changed, settled } = registry.setDesired(change);
      await writer.durable();
      const going =
        change.stopped === "all" ? desiredInstances({ spec: registry.spec }).map(({ id }) => id) : change.stopped;
      await parts.settled([...(going ?? []), ...(change.renewed ?? [])]);
      settled();
      return { changed };
    }),
    HoldOperation: serverStream(context, (message: HoldOperationMessage, signal) =>
      holdOperation(registry.operations.hold(decodeOperationName(message), message.takeOver, message), writer, signal),
    ),
    KeepPipeline: unary(context, async ({ content }: { readonly content: Uint8Array }) => {
      parts.kept.keep(content, parts.now());
      await writer.durable();
      return {};
    }),
    GetKeptPipeline: unary(context, () => ({ healthy: empty, latest: empty, ...parts.kept.current })),
    ReplayEvents: bidiStream(context, (requests: AsyncIterable<ReplayMessage>, signal) =>
      parts.replays.run(requests, signal),
    ),
    ReportInstance: unary(context, (message: ReportMessage) => {
      parts.report(decodeReport(message));
      return {};
    }),
    ...accessMethods(context, parts),
  };
}

async function* holdOperation(operation: Operation, writer: StateWriter, signal: AbortSignal): AsyncGenerator<object> {
  const over = AbortSignal.any([signal, operation.takenOver]);
  try {
    // A later life of the control plane has to know that this one was begun.
    await writer.durable();
    yield { operation: operation.number };
    if (!over.aborted) await new Promise((resolve) => over.addEventListener("abort", resolve, { once: true }));
  } finally {
    operation.release();
  }
  if (operation.takenOver.aborted) throw operation.takenOver.reason;
}

async function* watchEvents(
  events: PipelineEvents,
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
