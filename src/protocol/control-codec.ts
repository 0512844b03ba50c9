import { requireId, shortened } from "./bounds.ts";
import { decodeComponent, decodeConnections, encodeComponent } from "./component-codec.ts";
import {
  type applyRequest,
  type checkRequest,
  type componentSpec,
  type event,
  type holdRequest,
  observation,
  type pipeline,
  type pipelineSpec,
  pipelineState,
  type replayRequest,
  type replayResponse,
  type report,
  type setDesiredRequest,
  type watchEventsRequest,
} from "./control-messages.ts";
import type { MessageOf } from "./message-type.ts";
import type {
  ComponentSpec,
  DesiredChange,
  InputSpec,
  InstanceReport,
  OperationName,
  PipelineEvent,
  PipelineRecord,
  PipelineSpec,
} from "./records.ts";
import { componentType } from "./registry-messages.ts";
import { decodeBuffer, decodeOnError, encodeBuffer, encodeOnError } from "./topology-codec.ts";
import { fromTime, invalidMessage, toTime } from "./wire-values.ts";

export type CheckMessage = MessageOf<typeof checkRequest>;
export type ApplyMessage = MessageOf<typeof applyRequest>;
export type EventMessage = MessageOf<typeof event>;
export type WatchEventsMessage = MessageOf<typeof watchEventsRequest>;
export type DesiredStateMessage = MessageOf<typeof setDesiredRequest>;
export type HoldOperationMessage = MessageOf<typeof holdRequest>;
export type ReplayMessage = MessageOf<typeof replayRequest>;
export type ReplayAnswer = MessageOf<typeof replayResponse>;
export type ReportMessage = MessageOf<typeof report>;
type PipelineSpecMessage = MessageOf<typeof pipelineSpec>;
type ComponentSpecMessage = MessageOf<typeof componentSpec>;
type PipelineMessage = MessageOf<typeof pipeline>;

export function encodeSpec(spec: PipelineSpec): PipelineSpecMessage {
  return { name: spec.name, driver: spec.driver, components: spec.components.map(encodeComponentSpec) };
}

/** Throws `protocol/invalid-message` for a spec without a name or with a component without id or type. */
export function decodeSpec(message: PipelineSpecMessage | null): PipelineSpec {
  if (message === null || message.name === "") throw invalidMessage("spec.name", "the pipeline has no name");
  return {
    name: message.name,
    driver: message.driver,
    components: message.components.map((component, index) =>
      decodeComponentSpec(component, `spec.components[${index}]`),
    ),
  };
}

function encodeComponentSpec(spec: ComponentSpec): ComponentSpecMessage {
  const { id, ...same } = spec;
  return {
    ...same,
    componentId: id,
    type: componentType.of(spec.type),
    inputs: spec.inputs.map((input) => ({
      ...input,
      buffer: input.buffer === undefined ? null : encodeBuffer(input.buffer),
    })),
    onError: encodeOnError(spec.onError),
    startDeadlineMs: spec.startDeadlineMs ?? 0,
    instanceIds: spec.instanceIds ?? [],
    memoryLimitBytes: spec.memoryLimitBytes ?? 0,
  };
}

function decodeComponentSpec(message: ComponentSpecMessage, path: string): ComponentSpec {
  if (message.componentId === "") throw invalidMessage(`${path}.component_id`, "a component has no id");
  return {
    id: message.componentId,
    type: componentType.require(message.type, `${path}.type`),
    replicas: Math.max(1, message.replicas),
    inputs: message.inputs.map(
      (input): InputSpec => ({
        from: input.from,
        types: input.types,
        ...(input.buffer === null ? {} : { buffer: decodeBuffer(input.buffer) }),
      }),
    ),
    consumes: message.consumes,
    produces: message.produces,
    onError: decodeOnError(message.onError),
    partitionBy: message.partitionBy,
    maxRestarts: message.maxRestarts,
    ...(message.startDeadlineMs === 0 ? {} : { startDeadlineMs: message.startDeadlineMs }),
    ...(message.instanceIds.length === 0 ? {} : { instanceIds: message.instanceIds }),
    ...(message.memoryLimitBytes === 0 ? {} : { memoryLimitBytes: message.memoryLimitBytes }),
  };
}

export function encodePipeline(pipeline: PipelineRecord): PipelineMessage {
  return {
    pipelineId: pipeline.id,
    name: pipeline.name,
    state: pipelineState.of(pipeline.state),
    reason: pipeline.reason,
    startedAt: toTime(pipeline.startedAt),
    finishedAt: toTime(pipeline.finishedAt),
    components: pipeline.components.map(encodeComponent),
    topology: pipeline.topology,
    driver: pipeline.driver,
    draining: pipeline.draining ?? [],
    spec: pipeline.spec === undefined ? null : encodeSpec(pipeline.spec),
  };
}

export function decodePipeline(message: PipelineMessage): PipelineRecord {
  return {
    id: message.pipelineId,
    name: message.name,
    state: pipelineState.require(message.state, "state"),
    reason: message.reason,
    driver: message.driver,
    startedAt: fromTime(message.startedAt),
    ...(message.finishedAt === null ? {} : { finishedAt: fromTime(message.finishedAt) }),
    components: message.components.map(decodeComponent),
    topology: Object.fromEntries(
      Object.entries(message.topology).map(([id, connections]) => [id, decodeConnections(connections)]),
    ),
    ...(message.draining.length > 0 ? { draining: message.draining } : {}),
    ...(message.spec === null ? {} : { spec: decodeSpec(message.spec) }),
  };
}

export function encodeEvent(event: PipelineEvent): EventMessage {
  return { ...event, time: toTime(event.time) };
}

export function decodeEvent(message: EventMessage): PipelineEvent {
  return { ...message, time: fromTime(message.time) };
}

export function encodeDesiredChange(change: DesiredChange, operation: number): DesiredStateMessage {
  return {
    operation,
    running: change.running ?? [],
    stopped: change.stopped === "all" ? [] : (change.stopped ?? []),
    allStopped: change.stopped === "all",
    renewed: change.renewed ?? [],
    started: change.started ?? [],
  };
}

export function decodeDesiredChange(message: DesiredStateMessage): DesiredChange {
  return {
    running: message.running,
    stopped: message.allStopped ? "all" : message.stopped,
    renewed: message.renewed,
    started: message.started,
  };
}

/** Who holds an operation, as it is shown to others. */
export function decodeOperationName({ command, holder }: HoldOperationMessage): OperationName {
  return { command: shortened(command), holder: shortened(holder) };
}

export function encodeReport(report: InstanceReport): ReportMessage {
  return {
    componentId: report.componentId,
    instanceId: report.instanceId,
    observation: observation.of(report.observation),
    exitCode: report.exitCode ?? 0,
    oomKilled: report.oomKilled ?? false,
    willRestart: report.willRestart ?? false,
    message: report.message ?? "",
  };
}

/** Throws `protocol/invalid-message` for a report without ids or observation. */
export function decodeReport(message: ReportMessage): InstanceReport {
  requireId(message.componentId, "component_id");
  requireId(message.instanceId, "instance_id");
  const seen = observation.require(message.observation, "observation");
  return { ...message, observation: seen, message: shortened(message.message) };
}
