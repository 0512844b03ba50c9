import { FlowctlError } from "../foundation/errors.ts";
import type { JoinState } from "../identity/joins.ts";
import type { AccessGrant, KeptPipeline, Partition, PipelineEvent } from "../protocol/records.ts";
import type { InstanceData } from "./instance.ts";
import type { KeptOperations } from "./operations.ts";
import type { PartitionData, SourceData } from "./partitions/partition-data.ts";
import type { PipelineData } from "./pipeline-state.ts";
import type { StateWriter } from "./state-writer.ts";
import { DAMAGED_FIX } from "./store/level-store.ts";
import type { Store } from "./store/store.ts";

const pipelineKey = "pipeline";
const instancePrefix = "instance/";
const positionPrefix = "position/";
const partitionPrefix = "partition/";
const sourcePrefix = "source/";
const eventPrefix = "event/";
const operationsKey = "operations";
const latestKey = "kept/latest";
const healthyKey = "kept/healthy";
const joinPrefix = "join/";
const grantPrefix = "access/";

/** How an instance has joined. It outlives the instance: what was used once stays used. */
export interface KeptJoin extends JoinState {
  readonly component: string;
  readonly instance: string;
}

/** To whom access was granted. Nothing in it could be shown by somebody to get that access. */
export interface KeptGrant extends AccessGrant {
  /** Of the certificate. */
  readonly serial: string;
  /** SHA-256 of the HTTP token, in hexadecimal digits. */
  readonly tokenHash: string;
  /** Id of the authority that made the certificate: where there is another one, the grant is void. */
  readonly authority: string;
}

/** What a control plane finds when it starts. */
export interface KeptState {
  readonly pipeline: PipelineData | undefined;
  readonly instances: readonly InstanceData[];
  /** By `positionKey`. */
  readonly positions: ReadonlyMap<string, Uint8Array>;
  readonly partitions: readonly PartitionData[];
  readonly sources: readonly SourceData[];
  readonly events: readonly PipelineEvent[];
  /** What commands gave to be kept; see KeptPipelines. */
  readonly given: KeptPipeline;
  /** Undefined where there was no operation yet. */
  readonly operations: KeptOperations | undefined;
  readonly joins: readonly KeptJoin[];
  readonly grants: readonly KeptGrant[];
}

/** Rejects with `store/damaged` when a value does not read as what it must be, else as the store does. */
export async function loadKeptState(store: Store): Promise<KeptState> {
  const [pipeline] = await store.entries(pipelineKey);
  const instances = await store.entries(instancePrefix);
  const events = await store.entries(eventPrefix);
  const partitions = await store.entries(partitionPrefix);
  const sources = await store.entries(sourcePrefix);
  const [latest] = await store.entries(latestKey);
  const [healthy] = await store.entries(healthyKey);
  const [operations] = await store.entries(operationsKey);
  const joins = await store.entries(joinPrefix);
  const grants = await store.entries(grantPrefix);
  return {
    pipeline: pipeline === undefined ? undefined : parse<PipelineData>(pipeline),
    instances: instances.map((entry) => parse<InstanceData>(entry)),
    positions: new Map(await store.entries(positionPrefix)),
    partitions: partitions.map((entry) => parse<PartitionData>(entry)),
    sources: sources.map((entry) => parse<SourceData>(entry)),
    events: events.map((entry) => parse<PipelineEvent>(entry)),
    given: {
      ...(latest === undefined ? {} : { latest: latest[1] }),
      ...(healthy === undefined ? {} : { healthy: healthy[1] }),
    },
    operations: operations === undefined ? undefined : parse<KeptOperations>(operations),
    joins: joins.map((entry) => parse<KeptJoin>(entry)),
    grants: grants.map((entry) => parse<KeptGrant>(entry)),
  };
}

/** The key of a position. It outlives everybody who reads the partition. */
export function positionKey(componentId: string, partition: Partition): string {
  return positionPrefix + partitionPath(componentId, partition);
}

export function keepPartition(writer: StateWriter, data: PartitionData, current: () => PartitionData): void {
  writer.put(partitionPrefix + partitionPath(data.componentId, data), () => encode(current()));
}

export function forgetPartition(writer: StateWriter, data: PartitionData): void {
  writer.delete(partitionPrefix + partitionPath(data.componentId, data));
}

export function keepSource(writer: StateWriter, data: SourceData): void {
  writer.put(sourcePrefix + data.componentId, () => encode(data));
}

/** Which partition a key of a position is of. */
export function partitionOfKey(key: string): Partition & { readonly componentId: string } {
  const [, componentId = "", id = "", identity = ""] = key.split("/").map(decodeURIComponent);
  return { componentId, id, identity };
}

function partitionPath(componentId: string, { id, identity }: Partition): string {
  return [componentId, id, identity].map(encodeURIComponent).join("/");
}

export function keepPipeline(writer: StateWriter, pipeline: PipelineData): void {
  writer.put(pipelineKey, () => encode(pipeline));
}

export function keepOperations(writer: StateWriter, operations: KeptOperations): void {
  writer.put(operationsKey, () => encode(operations));
}

export function keepLatest(writer: StateWriter, content: Uint8Array): void {
  writer.put(latestKey, () => content);
}

export function forgetLatest(writer: StateWriter): void {
  writer.delete(latestKey);
}

export function forgetKept(writer: StateWriter): void {
  for (const key of [latestKey, healthyKey]) writer.delete(key);
}

export function keepHealthy(writer: StateWriter, content: Uint8Array): void {
  writer.put(healthyKey, () => content);
}

export function keepInstance(writer: StateWriter, instance: InstanceData): void {
  writer.put(instanceKey(instance.componentId, instance.id), () => encode(instance));
}

export function forgetInstance(writer: StateWriter, componentId: string, instanceId: string): void {
  writer.delete(instanceKey(componentId, instanceId));
}

export function keepJoin(writer: StateWriter, join: KeptJoin): void {
  writer.put(`${joinPrefix}${join.component}/${join.instance}`, () => encode(join));
}

export function keepGrant(writer: StateWriter, grant: KeptGrant): void {
  writer.put(grantPrefix + grant.name, () => encode(grant));
}

export function forgetGrant(writer: StateWriter, name: string): void {
  writer.delete(grantPrefix + name);
}

export function keepEvent(writer: StateWriter, event: PipelineEvent, evicted: readonly number[]): void {
  writer.put(eventKey(event.sequence), () => encode(event));
  for (const sequence of evicted) writer.delete(eventKey(sequence));
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
      message: `the control plane's database is damaged: ${key} does not contain what flowctl wrote`,
      fix: DAMAGED_FIX,
      cause: error,
    });
  }
}
