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
import type { ChangeNotifier } from "./change-notifier.ts";
import { checkEventTypes, declaredTypes } from "./event-types.ts";
import {
  describeReport,
  type InstanceData,
  type InstanceEntry,
  newInstance,
  newVitals,
  type ProbeState,
  registeredInstance,
} from "./instance.ts";
import { componentRecordsOf, pipelineRecordOf, topologyRecordOf } from "./records-view.ts";
import {
  noAddress,
  noPipeline,
  superseded,
  unknownComponent,
  unknownInstance,
  wrongPipeline,
  wrongType,
} from "./registry-errors.ts";
import { Roster, type RosterOptions } from "./roster.ts";
import { checkSpec } from "./spec-check.ts";

export interface RegistryOptions extends RosterOptions {
  readonly pipeline: string;
}

/**
 * What the control plane knows of its pipeline: who is registered, in which state, and how all are connected. In
 * memory and synchronous; what has to outlive the process goes to the journal. Every method that a caller can misuse
 * throws a FlowctlError `registry/…`.
 */
export class Registry {
  /** Tells that anything of the records has changed; heartbeats and metrics alone do not count. */
  readonly changes: ChangeNotifier;
  readonly #name: string;
  readonly #clock: Pick<Clock, "now">;
  readonly #roster: Roster;

  constructor(options: RegistryOptions) {
    this.#name = options.pipeline;
    this.#clock = options.clock;
    this.#roster = new Roster(options);
    this.changes = this.#roster.changes;
  }

  /** Makes `spec` the pipeline. Returns whether it differs from what was known. */
  apply(spec: PipelineSpec): boolean {
    checkSpec(spec, this.#name);
    if (this.spec !== undefined && JSON.stringify(this.spec) === JSON.stringify(spec)) return false;
    this.#roster.apply(spec);
    return true;
  }

  /** Makes an instance known. Throws when it does not fit the pipeline, or when a later start of it is registered. */
  register(request: RegistrationRequest): void {
    const spec = this.#componentSpec(request);
    if (spec.type !== request.type) throw wrongType(spec.id, request.type, spec.type);
    if (request.address === "" && spec.type !== "sink") throw noAddress(request, spec.type);
    const before = this.#roster.instances.get(spec.id, request.instanceId);
    if (before?.data.superseded.includes(request.incarnation)) throw superseded(request);
    checkEventTypes(this.#spec(), spec.id, (component) =>
      declaredTypes(component, component.id === spec.id ? [request] : this.#roster.instances.dataOf(component.id)),
    );
    const now = this.#now();
    const entry = registeredInstance(before ?? newInstance(spec.id, request.instanceId, now), request, now);
    this.#roster.put(entry);
    this.#roster.event({
      type: "instance.registered",
      componentId: spec.id,
      instanceId: entry.data.id,
      message: request.address === "" ? "registered" : `registered at ${request.address}`,
      attributes: request.metadata,
    });
    const known = before?.data.live === true && before.data.incarnation === request.incarnation;
    if (!known) this.#roster.move(entry.data, { name: "starting", since: now, reason: "" });
    this.#roster.assess(entry.data);
    this.#roster.changed();
  }

  /** Throws `registry/unknown-instance` for whoever is not the registered incarnation. */
  heartbeat(request: HeartbeatMessage): void {
    const { data, vitals } = this.current(request);
    const now = this.#now();
    this.#roster.note({
      data: { ...data, lastHeartbeat: now, metrics: request.metrics ?? data.metrics },
      vitals: { ...vitals, heardAt: now, confirmed: true, degradedReason: request.degradedReason, exit: "" },
    });
    this.#roster.assess(data);
  }

  /** The last word of an incarnation; said twice it does no harm. Throws like `heartbeat` for any other. */
  deregister(request: DeregistrationRequest): void {
    const entry = this.#roster.instances.get(request.componentId, request.instanceId);
    if (entry === undefined || entry.data.incarnation !== request.incarnation) throw unknownInstance(request);
    if (!entry.data.live) return;
    const data: InstanceData = { ...entry.data, live: false, metrics: request.metrics ?? entry.data.metrics };
    this.#roster.put({ ...entry, data });
    this.#roster.event({
      type: "instance.deregistered",
      componentId: data.componentId,
      instanceId: data.id,
      message: request.message === "" ? request.reason : `${request.reason}: ${request.message}`,
      attributes: { reason: request.reason },
    });
    const since = this.#now();
    if (request.reason === "completed") this.#roster.move(data, { name: "completed", since });
    else if (request.reason === "stopped" || data.state.name === "stopping") this.#stop(data, request.message);
    // Whether that is the end of it is the supervisor's to say: it may be started again.
    else
      this.#roster.move(data, { name: "unhealthy", since, reason: request.message || "it said that it cannot go on" });
    this.#roster.removeIfSurplus(data);
    this.#roster.changed();
  }

  /** The registered incarnation that `reference` names; throws `registry/unknown-instance` when it is another. */
  current(reference: IncarnationReference): InstanceEntry {
    if (reference.pipeline !== this.#name) throw wrongPipeline(reference.pipeline, this.#name);
    const entry = this.#roster.instances.get(reference.componentId, reference.instanceId);
    if (entry === undefined || !entry.data.live || entry.data.incarnation !== reference.incarnation) {
      throw unknownInstance(reference);
    }
    return entry;
  }

  /** What a poll of an instance's /health gave. Ignored when another incarnation has registered meanwhile. */
  probed(componentId: string, instanceId: string, incarnation: string, probe: ProbeState): void {
    const entry = this.#roster.instances.get(componentId, instanceId);
    if (entry === undefined || !entry.data.live || entry.data.incarnation !== incarnation) return;
    this.#roster.note({ ...entry, vitals: { ...entry.vitals, probe } });
    this.#roster.assess(entry.data);
  }

  /**
   * What a driver saw, or the command line is about to do. `at` is when: what happened before the current program
   * registered, or before its last change of state, is about an earlier one and changes nothing.
   */
  report(report: InstanceReport, at: number): void {
    const { componentId, instanceId } = report;
    const spec = this.spec?.components.find((component) => component.id === componentId);
    const known = this.#roster.instances.get(componentId, instanceId);
    if (spec === undefined && known === undefined) return;
    this.#roster.event({
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
      this.#roster.remove(entry.data);
    }
    this.#roster.assess(entry.data);
    this.#roster.changed();
  }

  /** The supervisor gives an instance up; so fails the pipeline. What has completed cannot fail any more. */
  fail(componentId: string, instanceId: string, reason: string): void {
    const now = this.#now();
    const entry = this.#roster.instances.get(componentId, instanceId) ?? newInstance(componentId, instanceId, now);
    if (entry.data.state.name === "completed") return;
    this.#roster.put({ ...entry, data: { ...entry.data, live: false } });
    this.#roster.move(entry.data, { name: "failed", since: now, reason });
    this.#roster.changed();
  }

  /** Marks those unhealthy of whom nothing was heard for too long. To be called about once a second. */
  assessAll(): void {
    for (const { data } of this.#roster.instances.all()) this.#roster.assess(data);
  }

  /** This process itself slept for `ms`: nobody is to blame for not having been heard. */
  excuse(ms: number): void {
    for (const entry of this.#roster.instances.all()) {
      this.#roster.note({ ...entry, vitals: { ...entry.vitals, heardAt: entry.vitals.heardAt + ms } });
    }
  }

  entry(componentId: string, instanceId: string): InstanceEntry | undefined {
    return this.#roster.instances.get(componentId, instanceId);
  }

  /** Every instance, component by component, in the order of their numbers. */
  entries(): readonly InstanceEntry[] {
    return this.#roster.instances.all();
  }

  /** The pipeline's spec; undefined before it was applied. */
  get spec(): PipelineSpec | undefined {
    return this.#roster.pipeline.spec;
  }

  pipeline(): PipelineRecord {
    return pipelineRecordOf(this.#name, this.#roster.pipeline, this.#roster.instances);
  }

  components(): readonly ComponentRecord[] {
    return componentRecordsOf(this.spec, this.#roster.instances);
  }

  /** Throws `registry/unknown-component`. */
  component(componentId: string): ComponentRecord {
    const component = this.components().find(({ id }) => id === componentId);
    if (component === undefined) throw unknownComponent(componentId, this.#name);
    return component;
  }

  /**
   * Throws `registry/unknown-instance` for an instance that is not registered, or was with an earlier control plane and
   * has not been heard of since.
   */
  requireHeard({ componentId, instanceId, pipeline }: InstanceReference): void {
    const entry = this.#roster.instances.get(componentId, instanceId);
    if (!entry?.data.live || !entry.vitals.confirmed) throw unknownInstance({ componentId, instanceId, pipeline });
  }

  /** The surroundings of a component's instances. Throws when the pipeline has no such component. */
  topology(reference: InstanceReference): Topology {
    this.#componentSpec(reference);
    const surroundings = this.#roster.surroundings(reference.componentId);
    if (surroundings === undefined) throw unknownComponent(reference.componentId, this.#name);
    return topologyRecordOf(surroundings, this.#roster.instances);
  }

  /** Tells that a component's topology may have changed. */
  topologyChanges(componentId: string): ChangeNotifier {
    return this.#roster.topologyChanges(componentId);
  }

  #now(): number {
    return this.#clock.now();
  }

  #spec(): PipelineSpec {
    if (this.spec === undefined) throw noPipeline(this.#name);
    return this.spec;
  }

  #componentSpec(reference: InstanceReference): ComponentSpec {
    if (reference.pipeline !== this.#name) throw wrongPipeline(reference.pipeline, this.#name);
    const component = this.#spec().components.find(({ id }) => id === reference.componentId);
    if (component === undefined) throw unknownComponent(reference.componentId, this.#name);
    return component;
  }

  #started(entry: InstanceEntry, at: number): void {
    const { data, vitals } = entry;
    const wasOver = data.state.name === "completed" || data.state.name === "failed" || data.state.name === "stopping";
    const begins = vitals.exit !== "" || (wasOver && at > data.state.since);
    const now = this.#now();
    // What is known of how the program did is about the one before.
    // Said beforehand and seen afterwards, it is one start.
    const starts = begins || data.starts === 0 ? data.starts + 1 : data.starts;
    this.#roster.put({ data: { ...data, starts }, vitals: begins ? newVitals(now) : vitals });
    if (begins)
      this.#roster.move(data, { name: "starting", since: now, reason: "started again, has not registered yet" });
  }

  #exited(entry: InstanceEntry, how: string): void {
    this.#roster.put({ ...entry, vitals: { ...entry.vitals, exit: how } });
    this.#roster.removeIfSurplus({ ...entry.data, live: false });
  }

  #stop(data: InstanceData, reason: string): void {
    const name = this.#roster.instances.get(data.componentId, data.id)?.data.state.name;
    if (name === "completed" || name === "failed") return;
    this.#roster.move(data, { name: "stopping", since: this.#now(), reason });
  }
}
