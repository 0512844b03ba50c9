import type { Clock } from "../foundation/clock.ts";
import { counted } from "../foundation/counted.ts";
import type { Feature } from "../protocol/features.ts";
import { type ComponentSpec, instanceIdsOf, type PipelineSpec } from "../protocol/records.ts";
import { ChangeNotifier } from "./change-notifier.ts";
import { type Desire, desireOf, stoppedAfterApply } from "./desired-state.ts";
import { advanceHandover } from "./handover.ts";
import {
  assess,
  type InstanceData,
  type InstanceEntry,
  inNewRun,
  movedInstance,
  newInstance,
  restoredInstance,
} from "./instance.ts";
import { InstanceTable, type KnownInstances } from "./instance-table.ts";
import type { NewEvent } from "./pipeline-events.ts";
import { advancePipeline, isOver, type PipelineData, type ServiceTrouble, viewOf } from "./pipeline-state.ts";
import { looksDifferent } from "./records-view.ts";
import { retiredOf, withRetired } from "./retired-totals.ts";
import { type InstanceState, moveInstance, reasonOf } from "./states.ts";
import { type Surroundings, surroundingsOf } from "./topology.ts";
import {
  appliedPart,
  mayBeOnDisk,
  type Running,
  withoutComponent,
  withoutInput,
  withoutInstances,
} from "./transition.ts";

/** Where the roster tells what has changed. Called synchronously, in order; must not throw. */
export interface RosterJournal {
  event(event: NewEvent): void;
  pipelineChanged(pipeline: PipelineData): void;
  instanceChanged(instance: InstanceData): void;
  instanceRemoved(componentId: string, instanceId: string): void;
}

export interface RosterOptions {
  readonly clock: Pick<Clock, "now">;
  readonly unhealthyAfterMs: number;
  readonly journal: RosterJournal;
  /** What an earlier control plane left. */
  readonly restored: { readonly pipeline: PipelineData | undefined; readonly instances: readonly InstanceData[] };
}

/**
 * The pipeline and its instances with the states that they are in, and what follows from a change of one: the journal is
 * told, those below are, and the pipeline's own state moves along. Who may change what, and when, is the registry's to say.
 */
export class Roster {
  /** Tells that anything of the records has changed; heartbeats and metrics alone do not count. */
  readonly changes = new ChangeNotifier();
  readonly #options: RosterOptions;
  readonly #instances = new InstanceTable();
  /** By component id: that its topology has changed. */
  readonly #topologyChanges = new Map<string, ChangeNotifier>();
  /** What is wrong with services, by instance. */
  readonly #services = new Map<string, ServiceTrouble>();
  #surroundings: ReadonlyMap<string, Surroundings>;
  #pipeline: PipelineData;

  constructor(options: RosterOptions) {
    this.#options = options;
    const now = options.clock.now();
    const kept = options.restored.pipeline ?? { state: "starting", reason: "", startedAt: now };
    this.#pipeline = isOver(kept) ? kept : { ...kept, state: "starting" };
    this.#surroundings = kept.spec === undefined ? new Map() : surroundingsOf(kept.spec);
    for (const data of options.restored.instances) this.#instances.set(restoredInstance(data, now));
    this.#refreshPipeline();
  }

  get pipeline(): PipelineData {
    return this.#pipeline;
  }

  get instances(): KnownInstances {
    return this.#instances;
  }

  /** What is above and below a component; undefined when the pipeline has no such component. */
  surroundings(componentId: string): Surroundings | undefined {
    return this.#surroundings.get(componentId);
  }

  /** Tells that a component's topology may have changed. */
  topologyChanges(componentId: string): ChangeNotifier {
    const known = this.#topologyChanges.get(componentId);
    if (known !== undefined) return known;
    const changes = new ChangeNotifier();
    this.#topologyChanges.set(componentId, changes);
    return changes;
  }

  /** Makes a checked `spec` the pipeline. What it does not ask for any more is removed, or is once it has stopped. */
  apply(spec: PipelineSpec): void {
    const before = this.#pipeline;
    const startedAt = before.spec === undefined ? this.#options.clock.now() : before.startedAt;
    this.#pipeline = { ...before, stopped: stoppedAfterApply(spec, before.stopped), startedAt };
    const { components } = appliedPart(spec);
    this.event({ type: "pipeline.applied", message: `${spec.name} with ${counted(components.length, "component")}` });
    this.#replaceSpec(spec);
    this.changed();
  }

  /** What is wanted of an instance. */
  desire(componentId: string, instanceId: string): Desire {
    return desireOf(this.#pipeline, componentId, instanceId);
  }

  /** Returns whether that is news. */
  setService(id: string, trouble: ServiceTrouble | undefined): boolean {
    const before = this.#services.get(id);
    if (before?.state === trouble?.state && before?.reason === trouble?.reason) return false;
    if (trouble === undefined) this.#services.delete(id);
    else this.#services.set(id, trouble);
    return true;
  }

  /** Makes these the instances that are to be stopped. States are the registry's to move. */
  setStopped(stopped: readonly string[]): void {
    this.#pipeline = { ...this.#pipeline, stopped };
    this.#options.journal.pipelineChanged(this.#pipeline);
  }

  event(event: NewEvent): void {
    this.#options.journal.event(event);
  }

  /** Keeps what outlives nothing and concerns nobody: probes. */
  note(entry: InstanceEntry): void {
    this.#instances.set(entry);
  }

  /** Keeps figures, in the journal as well, which concern nobody. */
  count(entry: InstanceEntry): void {
    this.#instances.set(entry);
    this.#options.journal.instanceChanged(entry.data);
  }

  /** Keeps an entry, in the journal as well, and tells those below when they see a difference. */
  put(entry: InstanceEntry): void {
    const { componentId, id } = entry.data;
    const before = this.#instances.get(componentId, id);
    this.#instances.set(entry);
    this.#options.journal.instanceChanged(entry.data);
    if (looksDifferent(before, entry)) this.#tellBelow(componentId);
  }

  /** An instance of which nothing is known but what an earlier one of its id has counted. It is kept by `put`. */
  newInstance(componentId: string, id: string): InstanceEntry {
    return newInstance(componentId, id, this.#options.clock.now(), this.#pipeline.retired?.[componentId]?.[id]);
  }

  /** Forgets an instance, and keeps what it has counted while the pipeline has its component. */
  remove({ componentId, id }: InstanceData): void {
    const data = this.#instances.get(componentId, id)?.data;
    if (data === undefined || !this.#instances.delete(componentId, id)) return;
    if (this.#surroundings.has(componentId)) {
      this.#pipeline = { ...this.#pipeline, retired: withRetired(this.#pipeline.retired, data) };
      this.#options.journal.pipelineChanged(this.#pipeline);
    }
    this.#options.journal.instanceRemoved(componentId, id);
    this.#tellBelow(componentId);
  }

  /** Instances that the pipeline does not ask for any more go once they have stopped. */
  removeIfSurplus(data: InstanceData): void {
    if (this.desire(data.componentId, data.id) !== "absent") return;
    const known = this.#pipeline.spec?.components.some(({ id }) => id === data.componentId) ?? false;
    const exit = this.#instances.get(data.componentId, data.id)?.vitals.exit ?? "";
    if (!known || !data.live || exit !== "") this.remove(data);
  }

  /** Moves an instance to another state; throws when there is no such way. Nothing happens to one that is gone. */
  move({ componentId, id }: InstanceData, to: InstanceState): void {
    const entry = this.#instances.get(componentId, id);
    if (entry === undefined) return;
    const from = entry.data.state;
    const state = moveInstance(`instance ${id}`, from, to);
    const wasHealthy = entry.data.wasHealthy || state.name === "healthy";
    this.put({ ...entry, data: { ...entry.data, state, wasHealthy } });
    if (from.name === state.name) return;
    this.event({
      type: "component.state",
      componentId,
      instanceId: id,
      message: reasonOf(state),
      from: from.name,
      to: state.name,
    });
  }

  /** An instance is to stop. What has completed or failed stays so. */
  stop(data: InstanceData, reason: string): void {
    if (isEnded(this.#instances.get(data.componentId, data.id)?.data)) return;
    this.move(data, { name: "stopping", since: this.#options.clock.now(), reason });
  }

  /** An instance is given up; so fails the pipeline. What has completed cannot fail any more. */
  fail(componentId: string, instanceId: string, reason: string): void {
    const entry = this.#instances.get(componentId, instanceId) ?? this.newInstance(componentId, instanceId);
    if (entry.data.state.name === "completed") return;
    this.put({ ...entry, data: { ...entry.data, live: false } });
    this.move(entry.data, { name: "failed", since: this.#options.clock.now(), reason });
    this.changed();
  }

  /** Moves an instance to where all that is known of it now puts it. */
  assess({ componentId, id }: InstanceData): void {
    const entry = this.#instances.get(componentId, id);
    if (entry === undefined) return;
    const next = assess(entry, this.#options.clock.now(), this.#options.unhealthyAfterMs);
    const current = entry.data.state;
    if (next.name === current.name && reasonOf(next) === reasonOf(current)) return;
    this.move(entry.data, next);
    this.changed();
  }

  /**
   * What of the pipeline runs now, for a transition to another spec.
   *
   * @param existing Ids of the instances that exist, running or not.
   */
  running(existing: readonly string[]): Running {
    return {
      isLive: (componentId, instanceId) => this.#instances.get(componentId, instanceId)?.data.live === true,
      exists: (instanceId) => existing.includes(instanceId),
      isStarting: (componentId, instanceId) => {
        const data = this.#instances.get(componentId, instanceId)?.data;
        if (data?.state.name !== "starting" || data.starts === 0 || !existing.includes(instanceId)) return false;
        return !data.live && this.desire(componentId, instanceId) === "running";
      },
      runs: (componentId, instanceId) => isWell(this.#instances.get(componentId, instanceId)),
      leaves: (componentId, instanceId) => supports(this.#instances.get(componentId, instanceId), "leaving"),
      drains: (componentId) => {
        const live = this.#instances.of(componentId).filter(({ data }) => data.live);
        return live.every((entry) => supports(entry, "draining"));
      },
      hasRest: (componentId, instanceId) => {
        const data = this.#instances.get(componentId, instanceId)?.data;
        return data !== undefined && data.registrations > 0 && data.state.name !== "completed";
      },
      owes: (upstream, componentId) => {
        const entries = this.#instances.of(componentId).filter(({ data: { registrations, state } }) => {
          return registrations > 0 && state.name !== "completed";
        });
        // What it is about to acknowledge, or not, is not among what waits for it.
        if (entries.some(({ data, vitals }) => data.live && data.state.name === "stopping" && vitals.exit === ""))
          return true;
        const since = Math.max(0, ...entries.map(({ data, vitals }) => Math.max(data.state.since, vitals.endedAt)));
        return this.#instances
          .dataOf(upstream)
          .some(
            ({ live, metrics, lastHeartbeat }) =>
              live && ((metrics.waiting[componentId] ?? 0) > 0 || lastHeartbeat <= since),
          );
      },
    };
  }

  /** The clock was set by so much: what is remembered of the instances, and since when the pipeline runs, moves along. */
  moveTimes(ms: number): void {
    for (const entry of this.#instances.all()) this.count(movedInstance(entry, ms));
    const { startedAt, finishedAt } = this.#pipeline;
    const finished = finishedAt === undefined ? {} : { finishedAt: finishedAt + ms };
    this.#pipeline = { ...this.#pipeline, startedAt: startedAt + ms, ...finished };
    this.#options.journal.pipelineChanged(this.#pipeline);
  }

  /** To be called after one or several changes that belong together. */
  changed(): void {
    this.#endTransition();
    this.#refreshPipeline();
    this.changes.notify();
  }

  /** Takes out of the spec what an earlier change removed and has handed on everything by now. */
  #endTransition(): void {
    const { spec } = this.#pipeline;
    if (spec === undefined) return;
    const handed = advanceHandover(spec, {
      knows: (above, mark) => this.#knows(above, mark),
      hasSettled: (above, to, mark) => this.#hasSettled(spec, above, to, mark),
    });
    // What was said of an edge before it drained is old.
    if (handed !== spec) this.#replaceSpec(handed);
    let next = handed;
    for (const { id, leaving, leavingInstances = [] } of handed.components) {
      if (leaving && this.#instances.dataOf(id).every(({ state }) => state.name === "completed")) {
        next = withoutComponent(next, id);
      }
      const left = leavingInstances.filter((one) => isOverOrGone(this.#instances.get(id, one)));
      if (left.length > 0) next = withoutInstances(next, id, left);
    }
    for (const { id, inputs } of next.components) {
      for (const { from, draining } of inputs) {
        if (draining === true && this.#hasDrained(next, from, id)) next = withoutInput(next, id, from);
      }
    }
    if (next !== handed) this.#replaceSpec(next);
  }

  /** See `Heard`. One that does not support marks is not waited for. */
  #knows(above: ComponentSpec, mark: number): boolean {
    const ids = [...instanceIdsOf(above), ...(above.leavingInstances ?? [])];
    return ids.every((id) => {
      const entry = this.#instances.get(above.id, id);
      return !entry?.data.live || !supports(entry, "marks") || entry.vitals.heardMark >= mark;
    });
  }

  /** See `Heard`. What is in a buffer on the disk of one that does not run has not passed. */
  #hasSettled(spec: PipelineSpec, above: ComponentSpec, groupId: string, mark: number): boolean {
    const below = spec.components.find(({ id }) => id === groupId);
    const isOnDisk = below?.inputs.some((input) => input.from === above.id && mayBeOnDisk(input)) ?? false;
    const ids = [...instanceIdsOf(above), ...(above.leavingInstances ?? [])];
    return ids.every((id) => {
      const entry = this.#instances.get(above.id, id);
      if (entry === undefined) return true;
      const { data, vitals } = entry;
      if (data.live) return !supports(entry, "marks") || (vitals.settledMarks[groupId] ?? 0) >= mark;
      return data.state.name === "completed" || !isOnDisk || data.registrations === 0;
    });
  }

  /** Whether every instance that may owe the group something has said that it does not. */
  #hasDrained(spec: PipelineSpec, from: string, groupId: string): boolean {
    const above = spec.components.find(({ id }) => id === from);
    if (above === undefined) return true;
    const entries = [...instanceIdsOf(above), ...(above.leavingInstances ?? [])].map((id) =>
      this.#instances.get(from, id),
    );
    return entries.every((entry) => {
      if (entry === undefined) return false;
      const { data, vitals } = entry;
      return data.state.name === "completed" || (data.live && vitals.drainedGroups.includes(groupId));
    });
  }

  #replaceSpec(spec: PipelineSpec): void {
    this.#forgetDrained(this.#pipeline.spec, spec);
    const { retired: before, ...rest } = this.#pipeline;
    const retired = retiredOf(before, spec);
    this.#pipeline = { ...rest, spec, ...(retired === undefined ? {} : { retired }) };
    this.#surroundings = surroundingsOf(spec);
    for (const changes of this.#topologyChanges.values()) changes.notify();
    this.#options.journal.pipelineChanged(this.#pipeline);
    for (const { data } of this.#instances.all()) this.removeIfSurplus(data);
  }

  /** That a group has drained is about an edge that drains; when one begins or ceases to, what was said before is old. */
  #forgetDrained(before: PipelineSpec | undefined, next: PipelineSpec): void {
    const [was, is] = [drainingEdges(before), drainingEdges(next)];
    for (const entry of this.#instances.all()) {
      const { drainedGroups } = entry.vitals;
      const kept = drainedGroups.filter((id) => {
        const edge = `${entry.data.componentId} ${id}`;
        return was.has(edge) && is.has(edge);
      });
      if (kept.length < drainedGroups.length) {
        this.#instances.set({ ...entry, vitals: { ...entry.vitals, drainedGroups: kept } });
      }
    }
  }

  #tellBelow(componentId: string): void {
    for (const { to } of this.#surroundings.get(componentId)?.below ?? []) this.#topologyChanges.get(to.id)?.notify();
  }

  #refreshPipeline(): void {
    const before = this.#pipeline;
    const { spec } = before;
    if (spec === undefined) return;
    const views = spec.components.map((component) => viewOf(component, before, this.#instances.dataOf(component.id)));
    const next = advancePipeline({ ...before, spec }, views, this.#options.clock.now(), this.#services);
    if (next === undefined) return;
    this.#pipeline = next;
    this.#options.journal.pipelineChanged(next);
    if (before.state === "completed" && next.state !== "completed") {
      for (const entry of this.#instances.all()) this.count({ ...entry, data: inNewRun(entry.data) });
    }
    if (next.state === before.state) return;
    this.event({ type: "pipeline.state", message: next.reason, from: before.state, to: next.state });
  }
}

/** Whether an instance has completed or was given up. */
export function isEnded(data: InstanceData | undefined): boolean {
  return data?.state.name === "completed" || data?.state.name === "failed";
}

function isWell(entry: InstanceEntry | undefined): boolean {
  const name = entry?.data.state.name;
  return entry?.data.live === true && name !== "unhealthy" && name !== "stopping";
}

function supports(entry: InstanceEntry | undefined, feature: Feature): boolean {
  return entry?.data.features?.includes(feature) ?? false;
}

function isOverOrGone(entry: InstanceEntry | undefined): boolean {
  return entry === undefined || entry.data.state.name === "completed";
}

function drainingEdges(spec: PipelineSpec | undefined): ReadonlySet<string> {
  const edges = (spec?.components ?? []).flatMap(({ id, inputs }) =>
    inputs.filter(({ draining }) => draining === true).map(({ from }) => `${from} ${id}`),
  );
  return new Set(edges);
}
