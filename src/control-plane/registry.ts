import type { Clock } from "../foundation/clock.ts";
import {
  type ComponentRecord,
  type ComponentSpec,
  type DesiredChange,
  type InstanceReport,
  instanceIdsOf,
  type PipelineRecord,
  type PipelineSpec,
  type Topology,
} from "../protocol/records.ts";
import type {
  DeregistrationRequest,
  HeartbeatMessage,
  IncarnationReference,
  InstanceReference,
  RegistrationRequest,
} from "../protocol/registry-codec.ts";
import type { ChangeNotifier } from "./change-notifier.ts";
import { type Desire, desiredInstances, stoppedAfter } from "./desired-state.ts";
import { DriverReports } from "./driver-reports.ts";
import { checkEventTypes, declaredTypes } from "./event-types.ts";
import { checkFeatures, checkRunningFeatures } from "./feature-check.ts";
import {
  askedToStart,
  type InstanceData,
  type InstanceEntry,
  newVitals,
  type ProbeState,
  registeredInstance,
  saysMore,
} from "./instance.ts";
import { Operations, type OperationsStore } from "./operations.ts";
import type { NewEvent } from "./pipeline-events.ts";
import type { ServiceTrouble } from "./pipeline-state.ts";
import { componentRecordsOf, pipelineRecordOf, topologyRecordOf } from "./records-view.ts";
import {
  deregistered,
  instanceAlive,
  noAddress,
  noPipeline,
  notAnInstance,
  stillLeaving,
  stillStarting,
  superseded,
  unknownComponent,
  unknownInstance,
  wouldLoseEvents,
  wrongPipeline,
  wrongType,
} from "./registry-errors.ts";
import { isEnded, Roster, type RosterOptions } from "./roster.ts";
import { checkSpec } from "./spec-check.ts";
import { appliedPart, isUnderWay, transitionOf } from "./transition.ts";

/** See ApplyPipelineRequest in the protocol file. */
export interface ApplyOptions {
  readonly discard?: boolean;
  readonly existing?: readonly string[];
  readonly replaced?: readonly string[];
  readonly goingBack?: boolean;
}

export interface RegistryOptions extends RosterOptions {
  readonly pipeline: string;
  readonly operations?: OperationsStore;
}

/**
 * What the control plane knows of its pipeline: who is registered, in which state, and how all are connected. In
 * memory and synchronous; what has to outlive the process goes to the journal. Every method that a caller can misuse
 * throws a FlowctlError `registry/…`.
 */
export class Registry {
  /** The command that is changing the pipeline. */
  readonly operations: Operations;
  /** Tells that anything of the records has changed; heartbeats and metrics alone do not count. */
  readonly changes: ChangeNotifier;
  readonly #name: string;
  readonly #clock: Pick<Clock, "now">;
  readonly #roster: Roster;
  readonly #reports: DriverReports;
  readonly #unhealthyAfterMs: number;
  #driverWatches = false;

  constructor(options: RegistryOptions) {
    this.#name = options.pipeline;
    this.#clock = options.clock;
    this.#unhealthyAfterMs = options.unhealthyAfterMs;
    const { clock, operations } = options;
    this.operations = new Operations({ clock, ...operations, onRelease: (renewed) => this.#operationOver(renewed) });
    this.#roster = new Roster(options);
    this.changes = this.#roster.changes;
    this.#reports = new DriverReports({
      clock,
      roster: this.#roster,
      operations: this.operations,
      isToEnd: (componentId, instanceId) => this.isToEnd(componentId, instanceId),
    });
  }

  /**
   * Makes `spec` the pipeline, by way of a transition that loses nothing (see `transitionOf`). Returns whether it differs
   * from what was applied last. Throws, and changes nothing: `registry/would-lose-events` when something could not be
   * delivered any more, unless that is to be discarded; `registry/still-leaving` while what is wanted again has not left;
   * `registry/still-starting` while what is to hand something on before it goes has not registered.
   */
  apply(spec: PipelineSpec, options: ApplyOptions = {}): boolean {
    const next = this.check(spec, options);
    if (next === undefined) return false;
    const before = this.spec;
    this.#roster.apply(next);
    for (const { data } of this.#roster.instances.all()) {
      if (this.desire(data.componentId, data.id) === "absent") this.#roster.stop(data, "removed from the pipeline");
    }
    this.#roster.changed();
    return before === undefined || JSON.stringify(appliedPart(before)) !== JSON.stringify(spec);
  }

  /** What `apply` would make the pipeline; undefined when nothing would change. Throws as that does, and changes nothing. */
  check(spec: PipelineSpec, options: ApplyOptions = {}): PipelineSpec | undefined {
    const { discard = false, existing = [], replaced = [], goingBack = false } = options;
    checkSpec(spec, this.#name);
    const before = this.spec;
    const same = before !== undefined && JSON.stringify(appliedPart(before)) === JSON.stringify(spec);
    if (same && !isUnderWay(before)) return undefined;
    const running = this.#roster.instances.all().map(({ data }) => data);
    checkRunningFeatures(
      spec,
      running.filter(({ id }) => !replaced.includes(id)),
    );
    const transition = transitionOf(before, spec, this.#roster.running(discard ? [] : existing), goingBack);
    if (transition.waits.length > 0) throw stillLeaving(transition.waits);
    if (transition.starting.length > 0 && !discard) throw stillStarting(transition.starting);
    if (transition.stranded.length > 0 && !discard) throw wouldLoseEvents(this.#name, transition.stranded);
    // Larger than any that an earlier control plane, which is forgotten, may have told to instances that go on.
    return before === undefined ? { ...transition.spec, marks: this.#now() } : transition.spec;
  }

  /**
   * Changes which instances are to run. What is not to run any more counts as stopping, what is to be started again as
   * starting, from now on. Returns the ids for which that made a difference, and what to call once those that are renewed are left
   * alone (see `Operations.renew`). Throws `registry/no-pipeline` before `apply`.
   */
  setDesired(change: DesiredChange): { readonly changed: readonly string[]; readonly settled: () => void } {
    const desired = { spec: this.#spec(), stopped: this.#roster.pipeline.stopped };
    const before = new Set(desired.stopped);
    const stopped = stoppedAfter(desired, change);
    this.#roster.setStopped(stopped);
    const settled = this.operations.renew(change.renewed ?? []);
    const now = new Set(stopped);
    const started = new Set(change.started);
    const changed = desiredInstances(desired).filter(
      ({ componentId, id }) =>
        before.has(id) !== now.has(id) ||
        (started.has(id) && isEnded(this.#roster.instances.get(componentId, id)?.data)),
    );
    for (const { componentId, id } of changed) {
      const goes = now.has(id);
      const message = goes ? "desired state is stopped" : "desired state is running";
      this.#roster.event({ type: "instance.desired", componentId, instanceId: id, message });
      const known = this.#roster.instances.get(componentId, id);
      if (goes) {
        const entry = known ?? this.#roster.newInstance(componentId, id);
        this.#roster.put(entry);
        this.#roster.stop(entry.data, "");
      } else if (known !== undefined && (started.has(id) || !isEnded(known.data)))
        this.#begin(known, "start requested");
    }
    this.#roster.changed();
    return { changed: changed.map(({ id }) => id), settled };
  }

  /** What is wanted of an instance. */
  desire(componentId: string, instanceId: string): Desire {
    return this.#roster.desire(componentId, instanceId);
  }

  /**
   * Whether a driver tells of every end and start from now on. So a second program of an instance is told from a restart; while none does, who
   * registers as an instance is taken for its successor.
   */
  driverWatches(watches: boolean): void {
    this.#driverWatches = watches;
  }

  /** The component of an instance. Throws when the pipeline does not have (or does not want any more) such an instance. */
  requireInstance(request: RegistrationRequest): ComponentSpec {
    const spec = this.#componentSpec(request);
    if (this.desire(spec.id, request.instanceId) === "absent") throw notAnInstance(request, instanceIdsOf(spec));
    if (spec.type !== request.type) throw wrongType(spec.id, request.type, spec.type);
    return spec;
  }

  /** Makes an instance known. Throws when it does not fit the pipeline, or when a later start of it is registered. */
  register(request: RegistrationRequest): void {
    const spec = this.requireInstance(request);
    const desire = this.desire(spec.id, request.instanceId);
    if (request.address === "" && spec.type !== "sink") throw noAddress(request, spec.type);
    const before = this.#roster.instances.get(spec.id, request.instanceId);
    if (before !== undefined) this.#refuseImpostor(before, request);
    checkEventTypes(this.#spec(), spec.id, (component) =>
      declaredTypes(component, component.id === spec.id ? [request] : this.#roster.instances.dataOf(component.id)),
    );
    checkFeatures(this.#spec(), request);
    const now = this.#now();
    const entry = registeredInstance(before ?? this.#roster.newInstance(spec.id, request.instanceId), request, now);
    this.#roster.put(entry);
    this.#roster.event({
      type: "instance.registered",
      componentId: spec.id,
      instanceId: entry.data.id,
      message: request.address === "" ? "registered" : `registered at ${request.address}`,
      attributes: request.metadata,
    });
    const known = before?.data.live === true && before.data.incarnation === request.incarnation;
    if (!known) this.operations.renewedOne(request.instanceId);
    if (!known && (desire !== "stopped" || isEnded(entry.data)))
      this.#roster.move(entry.data, { name: "starting", since: now, reason: "" });
    if (desire === "stopped") this.#roster.stop(entry.data, "desired state is stopped");
    this.#roster.assess(entry.data);
    this.#roster.changed();
  }

  /** An instance that asks to register is told to wait: it is there, and does not hang. */
  waits({ componentId, instanceId }: InstanceReference): void {
    const now = this.#now();
    const entry =
      this.#roster.instances.get(componentId, instanceId) ?? this.#roster.newInstance(componentId, instanceId);
    this.#roster.note({ ...entry, vitals: { ...entry.vitals, askedAt: now } });
  }

  /** Throws `registry/unknown-instance` for whoever is not the registered incarnation. */
  heartbeat(request: HeartbeatMessage): void {
    const { data, vitals } = this.current(request);
    const now = this.#now();
    this.#roster.count({
      data: { ...data, lastHeartbeat: now, metrics: request.metrics ?? data.metrics },
      vitals: {
        ...vitals,
        heardAt: now,
        confirmed: true,
        degradedReason: request.degradedReason,
        exit: "",
        drainedGroups: request.drainedGroups ?? [],
        settledMarks: request.settledMarks ?? {},
        heardMark: request.heardMark ?? 0,
      },
    });
    this.#roster.assess(data);
    if (saysMore(vitals, request)) this.#roster.changed();
  }

  /** The last word of an incarnation; said twice it does no harm. Throws like `heartbeat` for any other. */
  deregister(request: DeregistrationRequest): void {
    const entry = this.#roster.instances.get(request.componentId, request.instanceId);
    if (entry === undefined || entry.data.incarnation !== request.incarnation) throw unknownInstance(request);
    if (!entry.data.live) return;
    const data: InstanceData = { ...entry.data, live: false, metrics: request.metrics ?? entry.data.metrics };
    this.#roster.put({ data, vitals: { ...entry.vitals, endedAt: this.#now() } });
    this.#roster.event({
      type: "instance.deregistered",
      componentId: data.componentId,
      instanceId: data.id,
      message: request.message === "" ? request.reason : `${request.reason}: ${request.message}`,
      attributes: { reason: request.reason },
    });
    const since = this.#now();
    if (request.reason === "completed") this.#roster.move(data, { name: "completed", since });
    else if (this.isToEnd(data.componentId, data.id)) this.#roster.stop(data, request.message);
    // Whether that is the end of it is the supervisor's to say: it may be started again.
    else {
      const how = request.reason === "stopped" ? "stopped by a signal not sent by flowctl" : "reported a failure";
      this.#roster.move(data, { name: "unhealthy", since, reason: request.message || how });
    }
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

  /** See `DriverReports.report`. */
  report(report: InstanceReport, at: number): void {
    this.#reports.report(report, at);
  }

  /** See `Roster.fail`. */
  fail(componentId: string, instanceId: string, reason: string): void {
    this.#roster.fail(componentId, instanceId, reason);
  }

  /** What is wrong with a service; undefined: nothing. Kept only while this process runs. */
  service(id: string, trouble: ServiceTrouble | undefined): void {
    if (this.#roster.setService(id, trouble)) this.#roster.changed();
  }

  /** Whether an instance is to run, be it only until it has left. */
  isToRun(componentId: string, instanceId: string): boolean {
    const desire = this.desire(componentId, instanceId);
    return desire === "running" || desire === "leaving";
  }

  /** Something to be seen by `flowctl events`. */
  tell(event: NewEvent): void {
    this.#roster.event(event);
  }

  /** Something to be seen by `flowctl events` that the supervisor does. */
  remark(componentId: string, instanceId: string, message: string): void {
    this.#roster.event({ type: "instance.supervised", componentId, instanceId, message });
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

  /** The machine's clock was set forwards, or back by a negative number: nobody was silent or ill for longer by that. */
  clockJumped(ms: number): void {
    this.#roster.moveTimes(ms);
    const way = ms > 0 ? "forwards" : "back";
    const seconds = Math.round(Math.abs(ms) / 1000);
    this.#roster.event({ type: "clock.jumped", message: `the clock of the machine jumped ${way} by ${seconds} s` });
  }

  /** Whether the end of an instance is meant: it is not to run, or a command is about to start it again. */
  isToEnd(componentId: string, instanceId: string): boolean {
    const desire = this.desire(componentId, instanceId);
    if (desire !== "running" && desire !== "leaving") return true;
    return this.operations.isEnding(instanceId);
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
    return componentRecordsOf(this.#roster.pipeline, this.#roster.instances);
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
    return topologyRecordOf(surroundings, this.#roster.instances, reference.instanceId);
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

  /** Throws for whoever is not, or not any more, the program of that instance. */
  #refuseImpostor({ data, vitals }: InstanceEntry, request: RegistrationRequest): void {
    if (data.superseded.includes(request.incarnation)) throw superseded(request);
    const same = data.incarnation === request.incarnation;
    if (same && !data.live) throw deregistered(request);
    const alive = data.live && vitals.confirmed && vitals.exit === "";
    const fresh = this.#now() - vitals.heardAt <= this.#unhealthyAfterMs;
    if (!same && alive && fresh && this.#driverWatches) throw instanceAlive(request);
  }

  /** A command is done or gone: what it has ended and not started again is the supervisor's business from now on. */
  #operationOver(renewed: ReadonlySet<string>): void {
    for (const entry of this.#roster.instances.all()) {
      const { componentId, id, state } = entry.data;
      if (!renewed.has(id) || state.name !== "stopping" || this.isToEnd(componentId, id)) continue;
      this.#begin(entry, "start requested");
    }
    this.#roster.changed();
  }

  /** It is to be started, which is no restart and begins their count anew, or goes on although it was to stop. */
  #begin(entry: InstanceEntry, reason: string): void {
    const now = this.#now();
    const ended = !entry.data.live || entry.vitals.exit !== "";
    // It has yet to show that it is well, so it is starting, not ill.
    if (ended) {
      this.#roster.put({ data: askedToStart({ ...entry.data, wasHealthy: false }), vitals: newVitals(now) });
    }
    this.#roster.move(entry.data, { name: "starting", since: now, reason });
    this.#roster.assess(entry.data);
  }
}
