import type { Clock } from "../foundation/clock.ts";
import type {
  ComponentRecord,
  ComponentSpec,
  InstanceReport,
  PipelineRecord,
  PipelineSpec,
  Topology,
} from "../protocol/records.ts";
import type {
  DeregistrationRequest,
  HeartbeatMessage,
  IncarnationReference,
  InstanceReference,
  RegistrationRequest,
} from "../protocol/registry-codec.ts";
import { ChangeNotifier } from "./change-notifier.ts";
import type { EventInit } from "./event-log.ts";
import { checkEventTypes, declaredTypes } from "./event-types.ts";
import {
  assess,
  describeReport,
  type InstanceData,
  type InstanceEntry,
  newInstance,
  newVitals,
  type ProbeState,
  registeredInstance,
  restoredInstance,
} from "./instance.ts";
import { InstanceTable, instanceNumber } from "./instance-table.ts";
import { advancePipeline, isOver, type PipelineData } from "./pipeline-state.ts";
import { componentRecordsOf, looksDifferent, pipelineRecordOf, topologyRecordOf } from "./records-view.ts";
import {
  noAddress,
  noPipeline,
  superseded,
  unknownComponent,
  unknownInstance,
  wrongPipeline,
  wrongType,
} from "./registry-errors.ts";
import { checkSpec } from "./spec-check.ts";
import { type InstanceState, moveInstance, reasonOf } from "./states.ts";
import { type Surroundings, surroundingsOf } from "./topology.ts";

/** Where the registry tells what has changed. Called synchronously, in order; must not throw. */
export interface RegistryJournal {
  event(event: EventInit): void;
  pipelineChanged(pipeline: PipelineData): void;
  instanceChanged(instance: InstanceData): void;
  instanceRemoved(componentId: string, instanceId: string): void;
}

export interface RegistryOptions {
  readonly pipeline: string;
  readonly clock: Pick<Clock, "now">;
  readonly unhealthyAfterMs: number;
  readonly journal: RegistryJournal;
  /** What an earlier control plane left. */
  readonly restored: { readonly pipeline: PipelineData | undefined; readonly instances: readonly InstanceData[] };
}

/**
 * What the control plane knows of its pipeline: who is registered, in which state, and how all are connected. In
 * memory and synchronous; what has to outlive the process goes to the journal. Every method that a caller can misuse
 * throws a FlowctlError `registry/…`.
 */
export class Registry {
  /** Tells that anything of the records has changed; heartbeats and metrics alone do not count. */
  readonly changes = new ChangeNotifier();
  readonly #options: RegistryOptions;
  readonly #instances = new InstanceTable();
  /** By component id: that its topology has changed. */
  readonly #topologyChanges = new Map<string, ChangeNotifier>();
  #surroundings: ReadonlyMap<string, Surroundings>;
  #pipeline: PipelineData;

  constructor(options: RegistryOptions) {
    this.#options = options;
    const now = options.clock.now();
    const kept = options.restored.pipeline ?? { state: "starting", reason: "", startedAt: now };
    this.#pipeline = isOver(kept) ? kept : { ...kept, state: "starting" };
    this.#surroundings = kept.spec === undefined ? new Map() : surroundingsOf(kept.spec);
    for (const data of options.restored.instances) this.#instances.set(restoredInstance(data, now));
    this.#refreshPipeline();
  }

  /** Makes `spec` the pipeline. Returns whether it differs from what was known. */
  apply(spec: PipelineSpec): boolean {
    checkSpec(spec, this.#options.pipeline);
    const before = this.#pipeline.spec;
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(spec)) return false;
    const startedAt = before === undefined ? this.#now() : this.#pipeline.startedAt;
    this.#pipeline = { ...this.#pipeline, spec, startedAt };
    this.#surroundings = surroundingsOf(spec);
    for (const changes of this.#topologyChanges.values()) changes.notify();
    this.#options.journal.pipelineChanged(this.#pipeline);
    this.#event({ type: "pipeline.applied", message: `${spec.name} with ${spec.components.length} components` });
    for (const { data } of this.#instances.all()) this.#removeIfSurplus(data);
    this.#changed();
    return true;
  }

  /** Makes an instance known. Throws when it does not fit the pipeline, or when a later start of it is registered. */
  register(request: RegistrationRequest): void {
    const spec = this.#componentSpec(request);
    if (spec.type !== request.type) throw wrongType(spec.id, request.type, spec.type);
    if (request.address === "" && spec.type !== "sink") throw noAddress(request, spec.type);
    const before = this.#instances.get(spec.id, request.instanceId);
    if (before?.data.superseded.includes(request.incarnation)) throw superseded(request);
    checkEventTypes(this.#spec(), spec.id, (component) =>
      declaredTypes(component, component.id === spec.id ? [request] : this.#instances.dataOf(component.id)),
    );
    const now = this.#now();
    const entry = registeredInstance(before ?? newInstance(spec.id, request.instanceId, now), request, now);
    this.#put(entry);
    this.#event({
      type: "instance.registered",
      componentId: spec.id,
      instanceId: entry.data.id,
      message: request.address === "" ? "registered" : `registered at ${request.address}`,
      attributes: request.metadata,
    });
    const known = before?.data.live === true && before.data.incarnation === request.incarnation;
    if (!known) this.#move(entry.data, { name: "starting", since: now, reason: "" });
    this.#assess(entry.data);
    this.#changed();
  }

  /** Throws `registry/unknown-instance` for whoever is not the registered incarnation. */
  heartbeat(request: HeartbeatMessage): void {
    const { data, vitals } = this.current(request);
    const now = this.#now();
    this.#instances.set({
      data: { ...data, lastHeartbeat: now, metrics: request.metrics ?? data.metrics },
      vitals: { ...vitals, heardAt: now, confirmed: true, degradedReason: request.degradedReason, exit: "" },
    });
    this.#assess(data);
  }

  /** The last word of an incarnation; said twice it does no harm. Throws like `heartbeat` for any other. */
  deregister(request: DeregistrationRequest): void {
    const entry = this.#instances.get(request.componentId, request.instanceId);
    if (entry === undefined || entry.data.incarnation !== request.incarnation) throw unknownInstance(request);
    if (!entry.data.live) return;
    const data: InstanceData = { ...entry.data, live: false, metrics: request.metrics ?? entry.data.metrics };
    this.#put({ ...entry, data });
    this.#event({
      type: "instance.deregistered",
      componentId: data.componentId,
      instanceId: data.id,
      message: request.message === "" ? request.reason : `${request.reason}: ${request.message}`,
      attributes: { reason: request.reason },
    });
    const since = this.#now();
    if (request.reason === "completed") this.#move(data, { name: "completed", since });
    else if (request.reason === "stopped" || data.state.name === "stopping") this.#stop(data, request.message);
    // Whether that is the end of it is the supervisor's to say: it may be started again.
    else this.#move(data, { name: "unhealthy", since, reason: request.message || "it said that it cannot go on" });
    this.#removeIfSurplus(data);
    this.#changed();
  }

  /** The registered incarnation that `reference` names; throws `registry/unknown-instance` when it is another. */
  current(reference: IncarnationReference): InstanceEntry {
    if (reference.pipeline !== this.#options.pipeline) throw wrongPipeline(reference.pipeline, this.#options.pipeline);
    const entry = this.#instances.get(reference.componentId, reference.instanceId);
    if (entry === undefined || !entry.data.live || entry.data.incarnation !== reference.incarnation) {
      throw unknownInstance(reference);
    }
    return entry;
  }

  /** What a poll of an instance's /health gave. Ignored when another incarnation has registered meanwhile. */
  probed(componentId: string, instanceId: string, incarnation: string, probe: ProbeState): void {
    const entry = this.#instances.get(componentId, instanceId);
    if (entry === undefined || !entry.data.live || entry.data.incarnation !== incarnation) return;
    this.#instances.set({ ...entry, vitals: { ...entry.vitals, probe } });
    this.#assess(entry.data);
  }

  /**
   * What a driver saw, or the command line is about to do. `at` is when: what happened before the current program
   * registered, or before its last change of state, is about an earlier one and changes nothing.
   */
  report(report: InstanceReport, at: number): void {
    const { componentId, instanceId } = report;
    const spec = this.#pipeline.spec?.components.find((component) => component.id === componentId);
    const known = this.#instances.get(componentId, instanceId);
    if (spec === undefined && known === undefined) return;
    this.#event({
      type: `instance.${report.observation}`,
      componentId,
      instanceId,
      message: describeReport(report),
      attributes: report.observation === "exited" ? { exit_code: String(report.exitCode ?? 0) } : {},
    });
    const entry = known ?? newInstance(componentId, instanceId, this.#now());
    const isCurrent = at >= entry.data.registeredAt;
    if (report.observation === "started") this.#started(entry, at);
    else if (report.observation === "exited" && isCurrent) this.#exited(entry, describeReport(report));
    else if (report.observation === "stopping" && isCurrent && known) this.#stop(entry.data, report.message ?? "");
    else if (report.observation === "removed" && isCurrent && entry.data.state.name !== "completed") {
      this.#remove(entry.data);
    }
    this.#assess(entry.data);
    this.#changed();
  }

  /** The supervisor gives an instance up; so fails the pipeline. What has completed cannot fail any more. */
  fail(componentId: string, instanceId: string, reason: string): void {
    const now = this.#now();
    const entry = this.#instances.get(componentId, instanceId) ?? newInstance(componentId, instanceId, now);
    if (entry.data.state.name === "completed") return;
    this.#put({ ...entry, data: { ...entry.data, live: false } });
    this.#move(entry.data, { name: "failed", since: now, reason });
    this.#changed();
  }

  /** Marks those unhealthy of whom nothing was heard for too long. To be called about once a second. */
  assessAll(): void {
    for (const { data } of this.#instances.all()) this.#assess(data);
  }

  /** This process itself slept for `ms`: nobody is to blame for not having been heard. */
  excuse(ms: number): void {
    for (const entry of this.#instances.all()) {
      this.#instances.set({ ...entry, vitals: { ...entry.vitals, heardAt: entry.vitals.heardAt + ms } });
    }
  }

  entry(componentId: string, instanceId: string): InstanceEntry | undefined {
    return this.#instances.get(componentId, instanceId);
  }

  /** Every instance, component by component, in the order of their numbers. */
  entries(): readonly InstanceEntry[] {
    return this.#instances.all();
  }

  /** The pipeline's spec; undefined before it was applied. */
  get spec(): PipelineSpec | undefined {
    return this.#pipeline.spec;
  }

  pipeline(): PipelineRecord {
    return pipelineRecordOf(this.#options.pipeline, this.#pipeline, this.#instances);
  }

  components(): readonly ComponentRecord[] {
    return componentRecordsOf(this.#pipeline.spec, this.#instances);
  }

  /** Throws `registry/unknown-component`. */
  component(componentId: string): ComponentRecord {
    const component = this.components().find(({ id }) => id === componentId);
    if (component === undefined) throw unknownComponent(componentId, this.#options.pipeline);
    return component;
  }

  /**
   * Throws `registry/unknown-instance` for an instance that is not registered, or was with an earlier control plane and
   * has not been heard of since.
   */
  requireHeard({ componentId, instanceId, pipeline }: InstanceReference): void {
    const entry = this.#instances.get(componentId, instanceId);
    if (!entry?.data.live || !entry.vitals.confirmed) throw unknownInstance({ componentId, instanceId, pipeline });
  }

  /** The surroundings of a component's instances. Throws when the pipeline has no such component. */
  topology(reference: InstanceReference): Topology {
    this.#componentSpec(reference);
    const surroundings = this.#surroundings.get(reference.componentId);
    if (surroundings === undefined) throw unknownComponent(reference.componentId, this.#options.pipeline);
    return topologyRecordOf(surroundings, this.#instances);
  }

  /** Tells that a component's topology may have changed. */
  topologyChanges(componentId: string): ChangeNotifier {
    const known = this.#topologyChanges.get(componentId);
    if (known !== undefined) return known;
    const changes = new ChangeNotifier();
    this.#topologyChanges.set(componentId, changes);
    return changes;
  }

  #now(): number {
    return this.#options.clock.now();
  }

  #event(event: EventInit): void {
    this.#options.journal.event(event);
  }

  #spec(): PipelineSpec {
    if (this.#pipeline.spec === undefined) throw noPipeline(this.#options.pipeline);
    return this.#pipeline.spec;
  }

  #componentSpec(reference: InstanceReference): ComponentSpec {
    if (reference.pipeline !== this.#options.pipeline) throw wrongPipeline(reference.pipeline, this.#options.pipeline);
    const component = this.#spec().components.find(({ id }) => id === reference.componentId);
    if (component === undefined) throw unknownComponent(reference.componentId, this.#options.pipeline);
    return component;
  }

  #put(entry: InstanceEntry): void {
    const { componentId, id } = entry.data;
    const before = this.#instances.get(componentId, id);
    this.#instances.set(entry);
    this.#options.journal.instanceChanged(entry.data);
    if (looksDifferent(before, entry)) this.#tellBelow(componentId);
  }

  #remove({ componentId, id }: InstanceData): void {
    if (!this.#instances.delete(componentId, id)) return;
    this.#options.journal.instanceRemoved(componentId, id);
    this.#tellBelow(componentId);
  }

  #tellBelow(componentId: string): void {
    for (const { to } of this.#surroundings.get(componentId)?.below ?? []) this.#topologyChanges.get(to.id)?.notify();
  }

  /** Instances that the pipeline does not ask for any more go once they have stopped. */
  #removeIfSurplus(data: InstanceData): void {
    const component = this.#pipeline.spec?.components.find(({ id }) => id === data.componentId);
    if (component === undefined || (!data.live && instanceNumber(data.id) > component.replicas)) this.#remove(data);
  }

  #started(entry: InstanceEntry, at: number): void {
    const { data, vitals } = entry;
    const wasOver = data.state.name === "completed" || data.state.name === "failed" || data.state.name === "stopping";
    const begins = vitals.exit !== "" || (wasOver && at > data.state.since);
    const now = this.#now();
    // What is known of how the program did is about the one before.
    // Said beforehand and seen afterwards, it is one start.
    const starts = begins || data.starts === 0 ? data.starts + 1 : data.starts;
    this.#put({ data: { ...data, starts }, vitals: begins ? newVitals(now) : vitals });
    if (begins) this.#move(data, { name: "starting", since: now, reason: "started again, has not registered yet" });
  }

  #exited(entry: InstanceEntry, how: string): void {
    this.#put({ ...entry, vitals: { ...entry.vitals, exit: how } });
    this.#removeIfSurplus({ ...entry.data, live: false });
  }

  #stop(data: InstanceData, reason: string): void {
    const name = this.#instances.get(data.componentId, data.id)?.data.state.name;
    if (name === "completed" || name === "failed") return;
    this.#move(data, { name: "stopping", since: this.#now(), reason });
  }

  #assess({ componentId, id }: InstanceData): void {
    const entry = this.#instances.get(componentId, id);
    if (entry === undefined) return;
    const next = assess(entry, this.#now(), this.#options.unhealthyAfterMs);
    const current = entry.data.state;
    if (next.name === current.name && reasonOf(next) === reasonOf(current)) return;
    this.#move(entry.data, next);
    this.#changed();
  }

  #move({ componentId, id }: InstanceData, to: InstanceState): void {
    const entry = this.#instances.get(componentId, id);
    if (entry === undefined) return;
    const from = entry.data.state;
    const state = moveInstance(`instance ${id}`, from, to);
    const wasHealthy = entry.data.wasHealthy || state.name === "healthy";
    this.#put({ ...entry, data: { ...entry.data, state, wasHealthy } });
    if (from.name === state.name) return;
    this.#event({
      type: "component.state",
      componentId,
      instanceId: id,
      message: reasonOf(state),
      from: from.name,
      to: state.name,
    });
  }

  #changed(): void {
    this.#refreshPipeline();
    this.changes.notify();
  }

  #refreshPipeline(): void {
    const before = this.#pipeline;
    const { spec } = before;
    if (spec === undefined) return;
    const views = spec.components.map((component) => ({
      spec: component,
      instances: this.#instances.dataOf(component.id),
    }));
    const next = advancePipeline({ ...before, spec }, views, this.#now());
    if (next === undefined) return;
    this.#pipeline = next;
    this.#options.journal.pipelineChanged(next);
    if (next.state === before.state) return;
    this.#event({ type: "pipeline.state", message: next.reason, from: before.state, to: next.state });
  }
}
