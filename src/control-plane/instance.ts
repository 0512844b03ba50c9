import { howItExited } from "../foundation/how-it-exited.ts";
import { addMetrics, noMetrics } from "../protocol/component-codec.ts";
import type { ComponentSpec, InstanceMetrics, InstanceRecord, InstanceReport } from "../protocol/records.ts";
import type { RegistrationRequest } from "../protocol/registry-codec.ts";
import { type InstanceState, reasonOf } from "./states.ts";

/** What the registry keeps of an instance across restarts of the control plane. Plain JSON. Times are Unix ms. */
export interface InstanceData {
  readonly componentId: string;
  readonly id: string;
  /** Of the program that registered last; empty when none ever did. */
  readonly incarnation: string;
  /** Earlier incarnations, the newest last: whatever they still say is not heard. */
  readonly superseded: readonly string[];
  /** The incarnation has registered and has not deregistered. */
  readonly live: boolean;
  readonly state: InstanceState;
  readonly address: string;
  readonly healthEndpoint: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of the program that registered last. */
  readonly metrics: InstanceMetrics;
  /** Of the programs before it since the pipeline was started, together; absent when there was none. */
  readonly earlier?: InstanceMetrics;
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
  /** What it said that it supports. Left out by a control plane that did not ask yet: nothing is known. */
  readonly features?: readonly string[];
  readonly registeredAt: number;
  readonly lastHeartbeat: number;
  /** How often a program of it registered, and how often a driver saw one start. */
  readonly registrations: number;
  readonly starts: number;
  /** How many of these its last start by somebody is, less one; left out: its first. */
  readonly asked?: number;
  /** It has been healthy since the pipeline was started. */
  readonly wasHealthy: boolean;
}

/** What is known of an instance only while this process runs. */
export interface Vitals {
  /** Since when silence counts. */
  readonly heardAt: number;
  /** When its last program ended, or was last known to run. */
  readonly endedAt: number;
  /** It was heard of in the lifetime of this control plane. */
  readonly confirmed: boolean;
  readonly degradedReason: string;
  /** Draining groups below it that have acknowledged everything they were owed, as it said last. */
  readonly drainedGroups: readonly string[];
  /** By group below it: the last mark before which it owes nothing there, as it said last. */
  readonly settledMarks: Readonly<Record<string, number>>;
  /** The largest mark that it has heard of, as it said last. */
  readonly heardMark: number;
  readonly probe: ProbeState;
  /** How its program ended, when a driver saw that and nothing was heard since; else empty. */
  readonly exit: string;
  /** When it last asked to register and was told to wait; 0: never. */
  readonly askedAt: number;
}

export interface ProbeState {
  readonly result: "unknown" | "passing" | "failing" | "refusing";
  /** Failures in a row. */
  readonly failures: number;
  readonly detail: string;
}

export interface InstanceEntry {
  readonly data: InstanceData;
  readonly vitals: Vitals;
}

export const unknownProbe: ProbeState = { result: "unknown", failures: 0, detail: "" };

/** Failures in a row after which an instance counts as unhealthy: one lost answer is no illness. */
const failuresUntilUnhealthy = 3;

/** Earlier incarnations of one instance that are remembered. */
const supersededKept = 16;

/** @param earlier What earlier programs under this id have counted, where an instance of it was forgotten. */
export function newInstance(componentId: string, id: string, now: number, earlier?: InstanceMetrics): InstanceEntry {
  return {
    data: {
      componentId,
      id,
      incarnation: "",
      superseded: [],
      live: false,
      state: { name: "starting", since: now, reason: "has not registered yet" },
      address: "",
      healthEndpoint: "",
      metadata: {},
      metrics: noMetrics,
      ...(earlier === undefined ? {} : { earlier }),
      consumes: [],
      produces: [],
      registeredAt: 0,
      lastHeartbeat: 0,
      registrations: 0,
      starts: 0,
      wasHealthy: false,
    },
    vitals: newVitals(now),
  };
}

export function newVitals(now: number): Vitals {
  const nothing = {
    degradedReason: "",
    drainedGroups: [],
    settledMarks: {},
    heardMark: 0,
    probe: unknownProbe,
    exit: "",
    askedAt: 0,
  };
  return { heardAt: now, confirmed: false, endedAt: now, ...nothing };
}

/** What an earlier control plane knew: nobody is taken for well before it was heard of again. */
export function restoredInstance(data: InstanceData, now: number): InstanceEntry {
  const settled = !data.live || data.state.name === "stopping";
  const state: InstanceState = settled
    ? data.state
    : { name: "starting", since: now, reason: "no heartbeat since the control plane started" };
  // A clock that was set back meanwhile must not make it begin in the future: what happens to it would seem to be before.
  const registeredAt = Math.min(data.registeredAt, now);
  const since = Math.min(state.since, now);
  const restored = { ...data, state: { ...state, since }, registeredAt, wasHealthy: settled && data.wasHealthy };
  return { data: restored, vitals: newVitals(now) };
}

/** The entry after a registration, its state untouched. A new incarnation begins anew and supersedes the one before. */
export function registeredInstance(entry: InstanceEntry, request: RegistrationRequest, now: number): InstanceEntry {
  const { data } = entry;
  const again = data.incarnation === request.incarnation;
  const sameRun = again && data.live;
  return {
    data: {
      ...data,
      incarnation: request.incarnation,
      superseded: again ? data.superseded : supersede(data),
      live: true,
      address: request.address,
      healthEndpoint: request.healthEndpoint,
      metadata: request.metadata,
      consumes: request.consumes,
      produces: request.produces,
      features: request.features,
      registeredAt: sameRun ? data.registeredAt : now,
      lastHeartbeat: now,
      registrations: data.registrations + (again ? 0 : 1),
      // A program counts from zero.
      ...(again ? {} : { metrics: noMetrics, earlier: totalsOf(data) }),
    },
    vitals: { ...(sameRun ? entry.vitals : newVitals(now)), heardAt: now, confirmed: true, exit: "" },
  };
}

/** The state that an instance is in by all that is known of it. Pure; says nothing about who has ended for good. */
export function assess(entry: InstanceEntry, now: number, unhealthyAfterMs: number): InstanceState {
  const { data, vitals } = entry;
  const current = data.state;
  if (current.name === "stopping" || current.name === "completed" || current.name === "failed") return current;
  // One that said goodbye by itself gave a better reason than its exit code.
  if (vitals.exit !== "" && (data.live || current.name === "starting")) {
    return { name: "unhealthy", since: now, reason: vitals.exit };
  }
  if (!data.live) return current;
  if (now - vitals.heardAt > unhealthyAfterMs) {
    return { name: "unhealthy", since: now, reason: silenceOf(unhealthyAfterMs) };
  }
  if (!vitals.confirmed) return current;
  const { probe } = vitals;
  if (probe.result === "refusing" || (probe.result === "failing" && probe.failures >= failuresUntilUnhealthy)) {
    const patient = current.name === "starting" && now - data.registeredAt <= unhealthyAfterMs;
    if (patient) return { ...current, reason: probe.detail };
    return { name: "unhealthy", since: now, reason: probe.detail };
  }
  if (vitals.degradedReason !== "") return { name: "degraded", since: now, reason: vitals.degradedReason };
  if (probe.result === "passing" || data.healthEndpoint === "") return { name: "healthy", since: now };
  // Nothing speaks against it, and nothing for a change.
  return current;
}

/** The same after the clock was set: all that is remembered of it lies as far back as it did. */
export function movedInstance({ data, vitals }: InstanceEntry, ms: number): InstanceEntry {
  // 0 stands for never.
  const moved = (time: number): number => (time === 0 ? 0 : time + ms);
  return {
    data: {
      ...data,
      state: { ...data.state, since: data.state.since + ms },
      registeredAt: moved(data.registeredAt),
      lastHeartbeat: moved(data.lastHeartbeat),
    },
    vitals: {
      ...vitals,
      heardAt: vitals.heardAt + ms,
      askedAt: moved(vitals.askedAt),
      endedAt: moved(vitals.endedAt),
    },
  };
}

/** What is said of an instance of which nothing was heard for `ms`. */
export function silenceOf(ms: number): string {
  return `no heartbeat for ${Math.round(ms / 1000)} s`;
}

function supersede(data: InstanceData): readonly string[] {
  return data.incarnation === "" ? data.superseded : [...data.superseded, data.incarnation].slice(-supersededKept);
}

/** How often it was started again since somebody started it. */
export function restartsOf({ registrations, starts, asked = 0 }: InstanceData): number {
  return Math.max(0, registrations - 1 - asked, starts - 1 - asked);
}

/** The same as it is to be started by somebody, which is no restart. */
export function askedToStart(data: InstanceData): InstanceData {
  return { ...data, asked: Math.max(data.registrations, data.starts) };
}

/** Of all its programs since the pipeline was started. */
export function totalsOf({ earlier, metrics }: Pick<InstanceData, "earlier" | "metrics">): InstanceMetrics {
  return earlier === undefined ? metrics : addMetrics(earlier, metrics);
}

/** The same when the pipeline begins anew: what was counted and started before is not of this run. */
export function inNewRun(data: InstanceData): InstanceData {
  const { earlier: _, asked: __, ...rest } = data;
  const live = data.live ? 1 : 0;
  return { ...rest, metrics: data.live ? data.metrics : noMetrics, registrations: live, starts: live };
}

export function recordOf({ data }: InstanceEntry, desiredStopped: boolean): InstanceRecord {
  return {
    id: data.id,
    state: data.state.name,
    reason: reasonOf(data.state),
    address: data.address,
    healthEndpoint: data.healthEndpoint,
    lastHeartbeat: data.lastHeartbeat,
    registeredAt: data.registeredAt,
    metadata: data.metadata,
    metrics: data.metrics,
    restarts: restartsOf(data),
    consumes: data.consumes,
    produces: data.produces,
    totals: totalsOf(data),
    desiredStopped,
  };
}

/** What was seen of an instance, for people. */
export function describeReport(report: InstanceReport, spec?: Pick<ComponentSpec, "memoryLimitBytes">): string {
  if (report.message !== undefined && report.message !== "") return report.message;
  if (report.observation !== "exited") return report.observation;
  return describeExit(report, spec);
}

/** How a program ended, for people. */
export function describeExit(
  { exitCode = 0, oomKilled = false }: Pick<InstanceReport, "exitCode" | "oomKilled">,
  spec?: Pick<ComponentSpec, "memoryLimitBytes">,
): string {
  if (!oomKilled) return howItExited(exitCode);
  const limit = spec?.memoryLimitBytes;
  return `exited with code ${exitCode}: out of memory${limit === undefined ? "" : `, limit ${inBytes(limit)}`}`;
}

/** As the pipeline file writes it, such as `256M`. */
function inBytes(bytes: number): string {
  const unit = ["G", "M", "K"].findIndex((_, index) => bytes % 1024 ** (3 - index) === 0);
  return unit < 0 ? `${bytes} bytes` : `${bytes / 1024 ** (3 - unit)}${"GMK"[unit]}`;
}

/** Whether a heartbeat says something of the edges below that is not known yet. */
export function saysMore(
  vitals: Vitals,
  beat: { readonly [Key in "drainedGroups" | "settledMarks" | "heardMark"]?: Vitals[Key] },
): boolean {
  const { drainedGroups = [], settledMarks = {}, heardMark = 0 } = beat;
  return (
    heardMark > vitals.heardMark ||
    drainedGroups.some((id) => !vitals.drainedGroups.includes(id)) ||
    Object.entries(settledMarks).some(([id, mark]) => vitals.settledMarks[id] !== mark)
  );
}
