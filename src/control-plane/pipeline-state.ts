import {
  type ComponentSpec,
  type ComponentState,
  instanceIdsOf,
  type PipelineSpec,
  type PipelineState,
} from "../protocol/records.ts";
import { type DesiredState, desireOf } from "./desired-state.ts";
import type { InstanceData } from "./instance.ts";
import type { RetiredTotals } from "./retired-totals.ts";
import { movePipeline, reasonOf } from "./states.ts";

/** The pipeline as it is kept. Plain JSON. Times are Unix milliseconds. */
export interface PipelineData {
  /** Absent until somebody applied one. */
  readonly spec?: PipelineSpec;
  /** Ids of instances that are to be stopped; all others of the spec are to run. */
  readonly stopped?: readonly string[];
  readonly state: PipelineState;
  readonly reason: string;
  readonly startedAt: number;
  /** What instances had counted in this run when they were forgotten; absent where none was. */
  readonly retired?: RetiredTotals;
  /** Set exactly while it is completed or failed. */
  readonly finishedAt?: number;
}

/** What is wrong with a service: it does not work and is looked after, or nobody starts it again. */
export interface ServiceTrouble {
  readonly state: "unhealthy" | "failed";
  readonly reason: string;
}

/** A component as the pipeline file wants it, and the instances that the registry has of it. */
export interface ComponentView {
  readonly spec: ComponentSpec;
  readonly instances: readonly InstanceData[];
  /** Ids of instances that are to run and of which nothing is known yet. */
  readonly missing: readonly string[];
}

/** A component of the desired state with what is known of its instances. */
export function viewOf(spec: ComponentSpec, desired: DesiredState, instances: readonly InstanceData[]): ComponentView {
  const known = new Set(instances.map(({ id }) => id));
  const missing = instanceIdsOf(spec).filter((id) => !known.has(id) && desireOf(desired, spec.id, id) === "running");
  return { spec, instances, missing };
}

/** From the worst to the best. */
const severity: readonly ComponentState[] = [
  "failed",
  "unhealthy",
  "degraded",
  "starting",
  "stopping",
  "healthy",
  "completed",
];

/** The worst state of a component's instances; `starting` while some are missing and none is worse. */
export function componentStateOf({ instances, missing }: Omit<ComponentView, "spec">): ComponentState {
  const states = instances.map((instance) => instance.state.name);
  if (missing.length > 0) states.push("starting");
  return severity.find((state) => states.includes(state)) ?? "starting";
}

/**
 * The state of a pipeline by the states of its instances: failed when one was given up; completed when all that it is
 * to have are; stopping when nothing but stopping and completed ones are left; degraded when one that has worked does
 * not, or works badly; starting while one has not worked yet; else running. Services count while there is something left to
 * do.
 */
export function pipelineStateOf(
  components: readonly ComponentView[],
  services: ReadonlyMap<string, ServiceTrouble> = new Map(),
): {
  readonly state: PipelineState;
  readonly reason: string;
} {
  const instances = components.flatMap((component) => component.instances);
  const failed = instances.find((instance) => instance.state.name === "failed");
  if (failed !== undefined) return { state: "failed", reason: because(failed) };
  const missing = components.filter((component) => component.missing.length > 0);
  if (components.length > 0 && missing.length === 0) {
    const done = instances.length > 0 && instances.every(({ state }) => state.name === "completed");
    if (done) return { state: "completed", reason: "" };
    const ending = instances.every(({ state }) => state.name === "stopping" || state.name === "completed");
    if (ending) return { state: "stopping", reason: "" };
  }
  const [troubled] = [...services].sort(([, a], [, b]) => Number(b.state === "failed") - Number(a.state === "failed"));
  if (troubled !== undefined) {
    const [id, { state, reason }] = troubled;
    return { state: state === "failed" ? "failed" : "degraded", reason: `service ${id} is ${state}: ${reason}` };
  }
  const ill = instances.find(isIll);
  if (ill !== undefined) return { state: "degraded", reason: because(ill) };
  const starting = instances.find(({ state }) => state.name === "starting");
  if (starting !== undefined) return { state: "starting", reason: because(starting) };
  const first = missing[0];
  if (first !== undefined || components.length === 0) {
    return { state: "starting", reason: first === undefined ? "" : `waiting for ${first.spec.id}` };
  }
  return { state: "running", reason: "" };
}

/** The pipeline's data after its instances changed; undefined when that makes no difference to it. */
export function advancePipeline(
  pipeline: PipelineData & { readonly spec: PipelineSpec },
  components: readonly ComponentView[],
  now: number,
  services?: ReadonlyMap<string, ServiceTrouble>,
): PipelineData | undefined {
  const { spec, stopped, finishedAt, retired, ...before } = pipeline;
  const next = pipelineStateOf(components, services);
  if (next.state === before.state && next.reason === before.reason) return undefined;
  // Out of a final state the way leads over a new start, whatever it is found to be now.
  const from = isOver(before) && next.state !== before.state ? "starting" : before.state;
  movePipeline(spec.name, before.state, from);
  const state = movePipeline(spec.name, from, next.state);
  const isNewRun = before.state === "completed" && state !== "completed";
  const finished = state === before.state ? finishedAt : now;
  return {
    spec,
    ...(stopped === undefined ? {} : { stopped }),
    ...next,
    startedAt: isNewRun ? now : before.startedAt,
    ...(retired === undefined || isNewRun ? {} : { retired }),
    ...(isOver(next) && finished !== undefined ? { finishedAt: finished } : {}),
  };
}

/** Whether it has ended, well or badly. */
export function isOver({ state }: Pick<PipelineData, "state">): boolean {
  return state === "completed" || state === "failed";
}

function isIll({ state, wasHealthy }: InstanceData): boolean {
  if (state.name === "unhealthy" || state.name === "degraded") return true;
  return state.name === "starting" && wasHealthy;
}

function because(instance: InstanceData): string {
  const reason = reasonOf(instance.state);
  return `${instance.id} is ${instance.state.name}${reason === "" ? "" : `: ${reason}`}`;
}
