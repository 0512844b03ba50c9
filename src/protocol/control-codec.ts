import {
  type ComponentMessage,
  componentType,
  decodeComponent,
  decodeConnections,
  encodeComponent,
} from "./component-codec.ts";
import type {
  ComponentSpec,
  Connections,
  DesiredChange,
  DrainingRecord,
  InputSpec,
  InstanceReport,
  PipelineEvent,
  PipelineRecord,
  PipelineSpec,
  PipelineState,
} from "./records.ts";
import {
  type BufferMessage,
  decodeBuffer,
  decodeOnError,
  encodeBuffer,
  encodeOnError,
  type OnErrorMessage,
} from "./topology-codec.ts";
import { enumCodec, fromTime, invalidMessage, type TimeMessage, toTime } from "./wire-values.ts";

export interface PipelineSpecMessage {
  readonly name: string;
  readonly driver: string;
  readonly components: readonly ComponentSpecMessage[];
}

/** flowctl.control.v1.CheckPipelineRequest. */
export interface CheckMessage {
  readonly spec: PipelineSpecMessage | null;
  readonly discard: boolean;
  readonly existing: readonly string[];
  readonly replaced: readonly string[];
  readonly goingBack: boolean;
}

/** flowctl.control.v1.ApplyPipelineRequest. */
export interface ApplyMessage extends CheckMessage {
  readonly operation: number;
}

/** flowctl.control.v1.ReplayEventsRequest. */
export interface ReplayMessage {
  readonly componentId: string;
  readonly events: readonly Uint8Array[];
}

/** flowctl.control.v1.ReplayEventsResponse. */
export interface ReplayAnswer {
  readonly upstreamId: string;
  readonly acknowledged: readonly number[];
}

export interface ComponentSpecMessage {
  readonly componentId: string;
  readonly type: string;
  readonly replicas: number;
  readonly inputs: readonly InputSpecMessage[];
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  readonly onError: OnErrorMessage | null;
  readonly partitionBy: string;
  readonly maxRestarts: number;
  readonly startDeadlineMs: number;
  readonly instanceIds: readonly string[];
  readonly memoryLimitBytes: number;
}

export interface InputSpecMessage {
  readonly from: string;
  readonly types: readonly string[];
  readonly buffer: BufferMessage | null;
}

export interface PipelineMessage {
  readonly pipelineId: string;
  readonly name: string;
  readonly state: string;
  readonly reason: string;
  readonly startedAt: TimeMessage | null;
  readonly finishedAt: TimeMessage | null;
  readonly components: readonly ComponentMessage[];
  readonly topology: Readonly<Record<string, Connections>>;
  readonly driver: string;
  readonly draining: readonly DrainingRecord[];
  readonly spec: PipelineSpecMessage | null;
}

export interface EventMessage {
  readonly sequence: number;
  readonly time: TimeMessage | null;
  readonly type: string;
  readonly componentId: string;
  readonly instanceId: string;
  readonly message: string;
  readonly from: string;
  readonly to: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface DesiredStateMessage {
  readonly running: readonly string[];
  readonly stopped: readonly string[];
  readonly allStopped: boolean;
  readonly renewed: readonly string[];
  readonly started: readonly string[];
  readonly operation: number;
}

export interface HoldOperationMessage {
  readonly command: string;
  readonly holder: string;
  readonly takeOver: boolean;
  readonly unchangedSince: number;
  readonly unchangedForMs: number;
}

/** flowctl.control.v1.HoldOperationResponse. */
export interface HeldOperationMessage {
  readonly operation: number;
}

/** flowctl.control.v1.GetKeptPipelineResponse. */
export interface KeptPipelineMessage {
  readonly healthy: Uint8Array;
  readonly latest: Uint8Array;
}

export interface ReportMessage {
  readonly componentId: string;
  readonly instanceId: string;
  readonly observation: string;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  readonly willRestart: boolean;
  readonly message: string;
}

const pipelineState = enumCodec<PipelineState>("PIPELINE_STATE", [
  "starting",
  "running",
  "degraded",
  "stopping",
  "completed",
  "failed",
]);
const observation = enumCodec<InstanceReport["observation"]>("OBSERVATION", [
  "started",
  "exited",
  "stopping",
  "removed",
]);

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
    type: componentType.encode(spec.type),
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
    state: pipelineState.encode(pipeline.state),
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

export function encodeReport(report: InstanceReport): ReportMessage {
  return {
    componentId: report.componentId,
    instanceId: report.instanceId,
    observation: observation.encode(report.observation),
    exitCode: report.exitCode ?? 0,
    oomKilled: report.oomKilled ?? false,
    willRestart: report.willRestart ?? false,
    message: report.message ?? "",
  };
}

/** Throws `protocol/invalid-message` for a report without ids or observation. */
export function decodeReport(message: ReportMessage): InstanceReport {
  if (message.componentId === "") throw invalidMessage("component_id", "component_id is empty");
  if (message.instanceId === "") throw invalidMessage("instance_id", "instance_id is empty");
  return { ...message, observation: observation.require(message.observation, "observation") };
}
