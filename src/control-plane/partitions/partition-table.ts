import type { Clock } from "../../foundation/clock.ts";
import {
  type Assignment,
  type ComponentSpec,
  instanceIdsOf,
  type Partition,
  type PartitionRecord,
  type PipelineRecord,
} from "../../protocol/records.ts";
import type {
  CheckpointSave,
  IncarnationReference,
  InstanceReference,
  RegistrationRequest,
} from "../../protocol/registry-codec.ts";
import type { Checkpoints } from "../checkpoints.ts";
import { forgetPartition, keepPartition, keepSource } from "../kept-state.ts";
import type { Registry } from "../registry.ts";
import type { StateWriter } from "../state-writer.ts";
import { nextSteps } from "./assignment.ts";
import type { PartitionData, SourceData } from "./partition-data.ts";
import { invalidPartitions, notOwner, standsBy } from "./partition-errors.ts";

export interface PartitionTableOptions {
  readonly registry: Pick<Registry, "spec" | "entry" | "entries" | "topologyChanges">;
  readonly checkpoints: Checkpoints;
  readonly writer: StateWriter;
  readonly clock: Pick<Clock, "now">;
  /** Silence after which an instance that the pipeline does not ask for any more counts as gone. */
  readonly goneAfterMs: number;
  /** What an earlier control plane left. */
  readonly kept: { readonly partitions: readonly PartitionData[]; readonly sources: readonly SourceData[] };
}

/** What an instance of a source is told. */
export interface PartitionView {
  readonly assignments: readonly Assignment[];
  readonly partitionsFinished: boolean;
}

/** What a source without declared partitions is taken for. */
const whole: readonly Partition[] = [{ id: "", identity: "" }];
const maxPartitions = 4_096;
const maxIdLength = 4_096;

/**
 * Who reads which partition of each source. An owner is durable before it is told, and stays the owner until it has given the
 * partition back or is gone: so a partition never has two, whenever the control plane is killed.
 */
export class PartitionTable {
  readonly #options: PartitionTableOptions;
  readonly #sources = new Map<string, Source>();

  constructor(options: PartitionTableOptions) {
    this.#options = options;
    for (const data of options.kept.sources) this.#sources.set(data.componentId, new Source(data));
    for (const data of options.kept.partitions) {
      this.#sources.get(data.componentId)?.entries.set(keyOf(data), { data, revoking: false, durable: true });
    }
  }

  /**
   * Whether a source may register now. Throws `registry/invalid-partitions`, and `registry/stands-by` (kind unavailable: it
   * tries again) for one that declares no partitions while another instance of it reads: it knows no other way to wait.
   */
  admit(request: RegistrationRequest): void {
    const { partitions, componentId, instanceId } = request;
    if (partitions !== undefined) {
      const keys = new Set(partitions.map(({ id }) => id));
      const tooLong = partitions.some(({ id, identity }) => Math.max(id.length, identity.length) > maxIdLength);
      if (keys.size < partitions.length || partitions.length > maxPartitions || tooLong)
        throw invalidPartitions(componentId, maxPartitions, maxIdLength);
      return;
    }
    const spec = this.#spec(componentId);
    if (spec === undefined) return;
    this.refresh(componentId);
    const known = this.#sources.get(componentId)?.entries.get(keyOf(whole[0]!))?.data;
    // Whoever comes when it has ended finds nothing more, and completes.
    if (known?.finished) return;
    const reader = known?.owner || this.#wanted(spec)[0];
    if (reader !== undefined && reader !== instanceId) throw standsBy(instanceId, reader);
  }

  /** A source has registered. `isNew`: as another program than the one before. */
  registered(request: RegistrationRequest, isNew: boolean): void {
    const { componentId, instanceId, partitions = whole, held = [] } = request;
    const source = this.#sources.get(componentId) ?? new Source({ componentId, declared: [], over: false });
    this.#sources.set(componentId, source);
    const begins = isNew && source.data.over;
    if (isNew || source.data.declared.length === 0) {
      this.#declare(source, { componentId, declared: partitions, over: false });
    }
    for (const partition of source.data.declared) {
      const entry = source.entries.get(keyOf(partition));
      if (entry === undefined) this.#adopt(source, partition, instanceId, held);
      else if (begins && entry.data.finished) this.#put(source, entry, { ...entry.data, finished: false });
    }
    this.refresh(componentId);
  }

  /**
   * An instance has completed. One that declares no partitions says only so that its data has ended. One that leaves the pipeline
   * completes as well, with data left: others go on with that.
   */
  completed({ componentId, instanceId }: InstanceReference): void {
    const source = this.#sources.get(componentId);
    const spec = this.#spec(componentId);
    if (source === undefined || spec === undefined) return;
    const key = keyOf(whole[0]!);
    const entry = source.entries.get(key);
    const hasEnded = entry?.data.owner === instanceId && instanceIdsOf(spec).includes(instanceId);
    if (entry !== undefined && hasEnded) this.#put(source, entry, { ...entry.data, finished: true });
    this.refresh(componentId);
  }

  /**
   * Resolves when what an instance says of a partition is durable. Throws `registry/not-owner` when the partition is not, or not
   * any more, its own.
   */
  async save(from: IncarnationReference, save: CheckpointSave): Promise<void> {
    const { componentId, instanceId } = from;
    const partition: Partition = { id: save.partition, identity: save.identity };
    const source = this.#sources.get(componentId);
    const entry = source?.entries.get(keyOf(partition));
    const owns =
      entry?.data.owner === instanceId && entry.durable && (save.epoch === 0 || save.epoch === entry.data.epoch);
    if (source === undefined || entry === undefined || !owns) throw notOwner(instanceId, partition);
    if (save.position !== undefined) this.#options.checkpoints.put(componentId, partition, save.position);
    // In one batch with the position: whoever reads on does so from there.
    if (save.state === "finished") this.#put(source, entry, { ...entry.data, finished: true });
    if (save.state === "released") this.#put(source, { ...entry, revoking: false }, { ...entry.data, owner: "" });
    await this.#options.writer.durable();
    if (save.state === "reading") return;
    this.refresh(componentId);
    this.#options.registry.topologyChanges(componentId).notify();
  }

  /** What an instance reads; nothing while that is not durable. */
  viewOf({ componentId, instanceId }: InstanceReference): PartitionView {
    const source = this.#sources.get(componentId);
    if (source === undefined) return { assignments: [], partitionsFinished: false };
    const assignments: Assignment[] = [];
    for (const { data, revoking, durable } of source.entries.values()) {
      if (data.owner !== instanceId || !durable || data.finished) continue;
      const position = this.#options.checkpoints.get(componentId, data);
      const { id, identity, epoch } = data;
      assignments.push({ partition: id, identity, epoch, revoked: revoking, ...(position && { position }) });
    }
    return { assignments, partitionsFinished: source.isFinished };
  }

  /** The position of a source without declared partitions. */
  wholePosition(componentId: string): Uint8Array | undefined {
    return this.#options.checkpoints.get(componentId, whole[0]!);
  }

  /** Resolves when everybody who was given something may be told. */
  async settled(componentId: string): Promise<void> {
    await this.#sources.get(componentId)?.settling;
  }

  /** Assigns anew what is to be, by all that is known of the instances now. */
  refreshAll(): void {
    for (const componentId of this.#sources.keys()) this.refresh(componentId);
  }

  refresh(componentId: string): void {
    const source = this.#sources.get(componentId);
    const spec = this.#spec(componentId);
    if (source === undefined || spec === undefined) return;
    const declared = new Set(source.data.declared.map(keyOf));
    const steps = nextSteps(
      [...source.entries].map(([key, { data, revoking }]) => ({
        key,
        owner: data.owner === "" ? undefined : data.owner,
        revoking,
        declared: declared.has(key),
        finished: data.finished,
      })),
      {
        wanted: this.#wanted(spec),
        isReady: (id) => this.#isLive(componentId, id),
        isGone: (id) => this.#isGone(spec, id),
      },
    );
    let changed = false;
    for (const step of steps) {
      const entry = source.entries.get(step.key)!;
      if (step.type === "forget") {
        source.entries.delete(step.key);
        forgetPartition(this.#options.writer, entry.data);
      } else if (step.type === "revoke") {
        source.entries.set(step.key, { ...entry, revoking: true });
        changed = true;
      } else {
        // By the time as well: what was forgotten in between must not look to its reader like what it gave back before.
        const epoch = Math.max(entry.data.epoch + 1, this.#options.clock.now());
        const given = { ...entry.data, owner: step.owner, epoch };
        this.#put(source, { ...entry, revoking: false, durable: false }, given);
        this.#settle(source, step.key, given.epoch);
      }
    }
    this.#noteEnd(source);
    if (changed) this.#options.registry.topologyChanges(componentId).notify();
  }

  /** The pipeline's record with who reads what. */
  annotate(pipeline: PipelineRecord): PipelineRecord {
    const components = pipeline.components.map((component) => {
      const partitions = component.type === "source" ? this.#recordsOf(component.id) : [];
      return partitions.length === 0 ? component : { ...component, partitions };
    });
    return { ...pipeline, components };
  }

  #recordsOf(componentId: string): readonly PartitionRecord[] {
    const source = this.#sources.get(componentId);
    const declared = new Set(source?.data.declared.map(keyOf));
    const known = [...(source?.entries.values() ?? [])].map(({ data }) => data);
    const read = this.#options.checkpoints.of(componentId);
    const keys = new Set(known.map(keyOf));
    const former = read.filter((partition) => !keys.has(keyOf(partition)));
    const started = new Set(read.map(keyOf));
    return [...known, ...former.map((partition) => ({ ...partition, owner: "", finished: false }))].map(
      (partition) => ({
        id: partition.id,
        identity: partition.identity,
        instanceId: partition.owner,
        started: started.has(keyOf(partition)),
        finished: partition.finished,
        current: declared.has(keyOf(partition)),
      }),
    );
  }

  #declare(source: Source, data: SourceData): void {
    if (JSON.stringify(source.data) === JSON.stringify(data)) return;
    source.data = data;
    keepSource(this.#options.writer, data);
  }

  /** A partition that is new here. A program that reads it says so when the control plane has lost its memory. */
  #adopt(source: Source, { id, identity }: Partition, instanceId: string, held: readonly Assignment[]): void {
    const claim = held.find((one) => one.partition === id && one.identity === identity);
    const { componentId } = source.data;
    const owner = claim === undefined ? "" : instanceId;
    const data: PartitionData = { componentId, id, identity, owner, epoch: claim?.epoch ?? 0, finished: false };
    this.#put(source, { data, revoking: false, durable: false }, data);
    if (claim !== undefined) this.#settle(source, keyOf(data), data.epoch);
  }

  #put(source: Source, entry: Entry, data: PartitionData): void {
    const key = keyOf(data);
    source.entries.set(key, { ...entry, data });
    keepPartition(this.#options.writer, data, () => source.entries.get(key)?.data ?? data);
  }

  /** Tells the new owner once it is on the disk that it is. */
  #settle(source: Source, key: string, epoch: number): void {
    source.settling = this.#options.writer.durable().then(
      () => {
        const entry = source.entries.get(key);
        if (entry?.data.epoch !== epoch) return;
        source.entries.set(key, { ...entry, durable: true });
        this.#options.registry.topologyChanges(source.data.componentId).notify();
      },
      // The writer has told whoever has to end because of it.
      () => undefined,
    );
  }

  /** Marks a run as over once everything is finished and nobody is there any more. */
  #noteEnd(source: Source): void {
    const { data } = source;
    if (data.over || !source.isFinished) return;
    const live = this.#options.registry
      .entries()
      .some(({ data: one }) => one.componentId === data.componentId && one.live);
    if (!live) this.#declare(source, { ...data, over: true });
  }

  #spec(componentId: string): ComponentSpec | undefined {
    return this.#options.registry.spec?.components.find(({ id, type }) => id === componentId && type === "source");
  }

  #wanted(spec: ComponentSpec): readonly string[] {
    return instanceIdsOf(spec).filter(
      (id) => this.#options.registry.entry(spec.id, id)?.data.state.name !== "completed",
    );
  }

  #isLive(componentId: string, instanceId: string): boolean {
    const entry = this.#options.registry.entry(componentId, instanceId);
    return entry?.data.live === true && entry.vitals.exit === "";
  }

  #isGone(spec: ComponentSpec, instanceId: string): boolean {
    if (!this.#isLive(spec.id, instanceId)) return true;
    if (instanceIdsOf(spec).includes(instanceId)) return false;
    // Whatever took it away may have done so while no control plane was there to hear of it.
    const { heardAt } = this.#options.registry.entry(spec.id, instanceId)!.vitals;
    return this.#options.clock.now() - heardAt > this.#options.goneAfterMs;
  }
}

interface Entry {
  readonly data: PartitionData;
  /** Its owner was asked to give it back. */
  readonly revoking: boolean;
  /** That it is its owner's is on the disk. */
  readonly durable: boolean;
}

class Source {
  data: SourceData;
  readonly entries = new Map<string, Entry>();
  settling: Promise<void> | undefined;

  constructor(data: SourceData) {
    this.data = data;
  }

  /** All that is declared has ended. */
  get isFinished(): boolean {
    const { declared } = this.data;
    return declared.length > 0 && declared.every((partition) => this.entries.get(keyOf(partition))?.data.finished);
  }
}

function keyOf({ id, identity }: Partition): string {
  return JSON.stringify([id, identity]);
}
