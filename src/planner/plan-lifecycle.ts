import type { Change, ObservedResource } from "../drivers/driver.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { byKind, rankOf } from "./order.ts";
import type { Plan, PlanStep } from "./plan.ts";

export interface StopOrder {
  /**
   * Component id → how far it is from the sources, from 0. Those of a lower depth stop first, so that what they have
   * given still finds somebody to take it. Unknown ones count as 0.
   */
  readonly depths?: ReadonlyMap<string, number>;
}

export interface PlanDownOptions extends StopOrder {
  /** Remove volumes, and with them the state of components and of the control plane. */
  readonly volumes?: boolean;
}

/**
 * Removes everything of a pipeline: components from the sources down, then services, the control plane, networks and,
 * where asked for, volumes. Pure; an empty plan when there is nothing.
 */
export function planDown(pipeline: string, observed: readonly ObservedResource[], options: PlanDownOptions = {}): Plan {
  const going = observed.filter((resource) => resource.kind !== "volume" || (options.volumes ?? false));
  const ordered = stopOrder(going, options);
  return {
    pipeline,
    steps: inLevels(ordered, (resource) => ({ action: "remove", observed: resource, cause: "down" })),
    unchanged: observed.filter((resource) => !going.includes(resource)),
    notes: [],
  };
}

/** Stops components and services (all, or the selected ones), from the sources down. The control plane stays. */
export function planStop(
  pipeline: string,
  observed: readonly ObservedResource[],
  select: readonly string[],
  options: StopOrder = {},
): Plan {
  const chosen = selectInstances(observed, select);
  const going = chosen.filter(({ state }) => state.status !== "exited" && state.status !== "created");
  return {
    pipeline,
    steps: inLevels(stopOrder(going, options), (resource) => ({
      action: "stop",
      observed: resource,
      cause: "stop",
    })),
    unchanged: chosen.filter((resource) => !going.includes(resource)),
    notes: [],
  };
}

/** Starts what does not run of the components and services (all, or the selected ones): services first. */
export function planStart(pipeline: string, observed: readonly ObservedResource[], select: readonly string[]): Plan {
  const chosen = selectInstances(observed, select);
  const idle = chosen.filter(({ state }) => state.status === "exited" || state.status === "created");
  const levels = groupBy([...idle].sort(byKind), (resource) => rankOf(resource.kind));
  return {
    pipeline,
    steps: inLevels(levels, (resource) => ({ action: "start", observed: resource, cause: "start" })),
    unchanged: chosen.filter((resource) => !idle.includes(resource)),
    notes: [],
  };
}

/** Restarts components and services (all, or the selected ones), running or not: services first. */
export function planRestart(pipeline: string, observed: readonly ObservedResource[], select: readonly string[]): Plan {
  const chosen = [...selectInstances(observed, select)].sort(byKind);
  const levels = groupBy(chosen, (resource) => rankOf(resource.kind));
  const steps = inLevels(levels, (resource) => ({ action: "restart", observed: resource, cause: "restart" }));
  return { pipeline, steps, unchanged: [], notes: [] };
}

/**
 * The component and service instances that `select` names by component, service or instance id; all of them when it
 * is empty. Throws `planner/unknown-id` for a name that nothing has.
 */
export function selectInstances(
  observed: readonly ObservedResource[],
  select: readonly string[],
): readonly ObservedResource[] {
  const instances = observed.filter(({ kind }) => kind === "component" || kind === "service");
  if (select.length === 0) return instances;
  const matches = (resource: ObservedResource, id: string): boolean =>
    resource.owner === id || `${resource.owner}-${resource.index}` === id;
  for (const id of select) {
    if (instances.some((resource) => matches(resource, id))) continue;
    const known = [...new Set(instances.map(({ owner }) => owner))].sort();
    throw new FlowctlError({
      code: "planner/unknown-id",
      kind: "not-found",
      message: `No such component or service: ${JSON.stringify(id)}`,
      fix: known.length === 0 ? "Start the pipeline first with `flowctl up -d`" : `Use one of ${known.join(", ")}`,
    });
  }
  return instances.filter((resource) => select.some((id) => matches(resource, id)));
}

function stopOrder(
  observed: readonly ObservedResource[],
  options: StopOrder,
): readonly (readonly ObservedResource[])[] {
  const level = (resource: ObservedResource): number => {
    if (resource.kind === "component") return options.depths?.get(resource.owner) ?? 0;
    // After every component; volumes and networks only once nothing uses them.
    return 1_000_000 - rankOf(resource.kind);
  };
  return groupBy(
    [...observed].sort((a, b) => level(a) - level(b) || byKind(a, b)),
    level,
  );
}

function groupBy(
  sorted: readonly ObservedResource[],
  level: (resource: ObservedResource) => number,
): readonly (readonly ObservedResource[])[] {
  const groups = new Map<number, ObservedResource[]>();
  for (const resource of sorted) {
    const group = groups.get(level(resource)) ?? [];
    group.push(resource);
    groups.set(level(resource), group);
  }
  return [...groups.values()];
}

/** One step for each resource; those of a level wait for all of the level before. */
function inLevels(
  levels: readonly (readonly ObservedResource[])[],
  change: (resource: ObservedResource) => Change,
): readonly PlanStep[] {
  const steps: PlanStep[] = [];
  let previous: readonly number[] = [];
  for (const level of levels) {
    const first = steps.length;
    for (const resource of level) steps.push({ change: change(resource), after: [], afterSteps: previous });
    previous = level.map((_, i) => first + i);
  }
  return steps;
}
