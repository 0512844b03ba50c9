import { FlowctlError } from "../foundation/errors.ts";
import type { PipelineEvent } from "../protocol/records.ts";
import type { InstanceReference } from "../protocol/registry-codec.ts";
import type { InstanceData } from "./instance.ts";
import type { PipelineData } from "./pipeline-state.ts";
import type { StateWriter } from "./state-writer.ts";
import type { Store } from "./store/store.ts";

const pipelineKey = "pipeline";
const instancePrefix = "instance/";
const checkpointPrefix = "checkpoint/";
const eventPrefix = "event/";

/** What a control plane finds when it starts. */
export interface KeptState {
  readonly pipeline: PipelineData | undefined;
  readonly instances: readonly InstanceData[];
  /** By `checkpointKey`. */
  readonly checkpoints: ReadonlyMap<string, Uint8Array>;
  readonly events: readonly PipelineEvent[];
}

/** Rejects with `store/damaged` when a value does not read as what it must be, else as the store does. */
export async function loadKeptState(store: Store): Promise<KeptState> {
  const [pipeline] = await store.entries(pipelineKey);
  const instances = await store.entries(instancePrefix);
  const events = await store.entries(eventPrefix);
  return {
    pipeline: pipeline === undefined ? undefined : parse<PipelineData>(pipeline),
    instances: instances.map((entry) => parse<InstanceData>(entry)),
    checkpoints: new Map(await store.entries(checkpointPrefix)),
    events: events.map((entry) => parse<PipelineEvent>(entry)),
  };
}

/** The key of an instance's checkpoint. It outlives the instance, so that a successor goes on from it. */
export function checkpointKey({ componentId, instanceId }: Omit<InstanceReference, "pipeline">): string {
  return `${checkpointPrefix}${componentId}/${instanceId}`;
}

export function keepPipeline(writer: StateWriter, pipeline: PipelineData): void {
  writer.put(pipelineKey, () => encode(pipeline));
}

export function keepInstance(writer: StateWriter, instance: InstanceData): void {
  writer.put(instanceKey(instance.componentId, instance.id), () => encode(instance));
}

export function forgetInstance(writer: StateWriter, componentId: string, instanceId: string): void {
  writer.delete(instanceKey(componentId, instanceId));
}

export function keepEvent(writer: StateWriter, event: PipelineEvent, evicted: number | undefined): void {
  writer.put(eventKey(event.sequence), () => encode(event));
  if (evicted !== undefined) writer.delete(eventKey(evicted));
}

function instanceKey(componentId: string, instanceId: string): string {
  return `${instancePrefix}${componentId}/${instanceId}`;
}

function eventKey(sequence: number): string {
  return eventPrefix + String(sequence).padStart(16, "0");
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function parse<T>([key, value]: readonly [string, Uint8Array]): T {
  try {
    return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("utf8")) as T;
  } catch (error) {
    throw new FlowctlError({
      code: "store/damaged",
      kind: "failed",
      message: `the control plane's database is damaged: ${key} does not hold what flowctl wrote`,
      fix: "Restore it from a backup, or remove it with `flowctl down -v`; sources then begin anew.",
      cause: error,
    });
  }
}
