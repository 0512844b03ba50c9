import type { Change, DesiredResource, ObservedResource, ResourceKey } from "../drivers/driver.ts";
import { assess } from "./assess.ts";
import { byKind, topologicalOrder } from "./order.ts";
import { type LiveChange, type Plan, type PlanStep, resourceOf } from "./plan.ts";

export interface PlanUpOptions {
  /** Replace what has not changed, too: every component, service and the control plane, or what these owners have, whose sources were edited. */
  readonly forceRecreate?: boolean | ReadonlySet<string>;
  /**
   * Instances that exited with 0 but had not completed: somebody stopped them, so they are started again. Those not
   * named count as completed and are left alone.
   */
  readonly stopped?: ReadonlySet<ResourceKey>;
  /** Owner → owners that it is restarted with (`depends_on.restart`): when one of them is replaced or started anew. */
  readonly restartWith?: ReadonlyMap<string, readonly string[]>;
  /** Touch only these components and services, and what they need; nothing is removed but their surplus instances. */
  readonly only?: ReadonlySet<string>;
  /** With `only`: what there is and differs is not replaced; what does not run is started as it is. */
  readonly keepExisting?: boolean;
  /** Component id → how far it is from the sources, from 0, as `StopOrder.depths`. */
  readonly depths?: ReadonlyMap<string, number>;
  /** What the control plane is told besides, and applies while everything runs on. */
  readonly live?: readonly LiveChange[];
}

/**
 * What turns the observed resources of a pipeline into the desired ones. Pure. What is as desired is not touched;
 * what the pipeline file no longer names is removed, except volumes. A network that has to be replaced takes the
 * resources on it along: they are removed first and made again after.
 */
export function planUp(
  pipeline: string,
  desired: readonly DesiredResource[],
  observed: readonly ObservedResource[],
  options: PlanUpOptions = {},
): Plan {
  const seen = new Map(observed.map((resource) => [resource.key, resource]));
  const wanted = new Map(desired.map((resource) => [resource.key, resource]));
  const scope = options.only === undefined ? undefined : withNeeds(desired, options.only);
  const steps: PlanStep[] = [];
  const unchanged: ObservedResource[] = [];
  const notes: string[] = [];

  const removals = observed
    .filter((resource) => !wanted.has(resource.key) && resource.kind !== "volume" && inScope(resource, options.only))
    .sort((a, b) => byKind(b, a));
  const removalIndex = new Map<ResourceKey, number>();
  const remove = (resource: ObservedResource, cause: string, afterSteps: readonly number[] = []): void => {
    removalIndex.set(resource.key, steps.length);
    steps.push({ change: { action: "remove", observed: resource, cause }, after: [], afterSteps });
  };
  for (const resource of removals) {
    // A network goes only when nothing that is going hangs on it any more.
    const afterSteps = resource.kind === "network" ? [...removalIndex.values()] : [];
    remove(resource, surplusCause(resource, desired), afterSteps);
  }

  const renewed = scope === undefined ? networksToReplace(desired, seen) : new Set<ResourceKey>();
  for (const resource of desired) {
    const existing = seen.get(resource.key);
    if (existing === undefined || !resource.after.some(({ key }) => renewed.has(key))) continue;
    remove(existing, "network replaced");
  }

  // A port that a leaving instance holds has to be free before a newcomer may ask for it. Nobody else waits for what leaves:
  // it may take as long as it has something to hand on, and need the newcomer for that.
  const holdersOf = ({ hostPorts = [] }: DesiredResource): readonly number[] =>
    removals
      .filter(({ ports }) => ports.some((port) => isAmong(port, hostPorts)))
      .map(({ key }) => removalIndex.get(key)!);

  // Who does not speak as the next control plane does stops while the one that there is answers: with nobody to tell where it
  // has come to it would use up its grace period, and what it had under way would be done again.
  const first = scope === undefined ? strangers(desired, seen).filter(({ key }) => !removalIndex.has(key)) : [];
  const stopped = new Map<ResourceKey, number>();
  for (const level of byDepth(first, options.depths)) {
    const above = [...stopped.values()];
    for (const resource of level) {
      stopped.set(resource.key, steps.length);
      const change = { action: "stop", observed: resource, cause: "identity changed", keepSecrets: true } as const;
      steps.push({ change, after: [], afterSteps: above });
    }
  }

  const stepOf = new Map<ResourceKey, number>();
  for (const resource of topologicalOrder(desired)) {
    if (scope !== undefined && !scope.has(resource.key)) continue;
    const existing = seen.get(resource.key);
    const change = changeFor(resource, existing, removalIndex.has(resource.key));
    if (change === undefined) continue;
    const own = removalIndex.get(resource.key);
    const afterSteps = new Set<number>();
    for (const { key } of resource.after) {
      const step = stepOf.get(key);
      if (step !== undefined) afterSteps.add(step);
    }
    if (own !== undefined) afterSteps.add(own);
    if (resource.kind === "control-plane") for (const index of stopped.values()) afterSteps.add(index);
    if (resource.kind === "network") for (const index of removalIndex.values()) afterSteps.add(index);
    else for (const index of holdersOf(resource)) afterSteps.add(index);
    stepOf.set(resource.key, steps.length);
    steps.push({ change, after: resource.after, afterSteps: [...afterSteps].sort((a, b) => a - b) });
  }
  const live = (options.live ?? []).filter((one) => !steps.some(({ change }) => bringsAbout(change, one)));
  notes.push(...effectsOf(steps));
  return { pipeline, steps, unchanged, notes, ...(live.length > 0 ? { live } : {}) };

  function changeFor(
    resource: DesiredResource,
    existing: ObservedResource | undefined,
    removed: boolean,
  ): Change | undefined {
    if (existing === undefined) return { action: "create", resource, cause: "new" };
    if (removed) return { action: "create", resource, cause: "network replaced" };
    const like = options.keepExisting && existing.hash !== "" ? { ...resource, hash: existing.hash } : resource;
    const verdict = assess(like, existing, {
      force: forcedBy(resource, options.forceRecreate),
      completed: countsAsCompleted(resource, desired) && !(options.stopped?.has(resource.key) ?? false),
    });
    const onlyNeeded = options.only !== undefined && !options.only.has(resource.owner);
    if (verdict.action === "keep" || (verdict.action === "replace" && onlyNeeded)) {
      const renewedOwner = existing.state.status === "running" ? restartedWith(resource) : undefined;
      if (renewedOwner !== undefined) {
        return { action: "restart", observed: existing, cause: `${renewedOwner} restarts` };
      }
      unchanged.push(existing);
      if (verdict.action === "keep" && verdict.note !== undefined) notes.push(verdict.note);
      return undefined;
    }
    if (verdict.action === "replace") return { action: "replace", resource, observed: existing, cause: verdict.cause };
    return { action: verdict.action, observed: existing, cause: verdict.cause };
  }

  function restartedWith(resource: DesiredResource): string | undefined {
    return options.restartWith?.get(resource.owner)?.find((owner) =>
      resource.after.some(({ key }) => {
        const step = stepOf.get(key);
        return step !== undefined && wanted.get(key)?.owner === owner && steps[step]?.change.action !== "create";
      }),
    );
  }
}

/** What runs of components that are replaced together with a control plane that runs, because from now on everybody speaks otherwise. */
function strangers(
  desired: readonly DesiredResource[],
  seen: ReadonlyMap<ResourceKey, ObservedResource>,
): readonly ObservedResource[] {
  const changing = desired.flatMap((resource) => {
    const existing = seen.get(resource.key);
    const isOther = existing?.parts.identity !== resource.parts.identity && existing?.hash !== "";
    return existing?.state.status === "running" && isOther ? [existing] : [];
  });
  const hasControlPlane = changing.some(({ kind, state }) => {
    return kind === "control-plane" && state.status === "running" && state.health !== "unhealthy";
  });
  return hasControlPlane ? changing.filter(({ kind }) => kind === "component") : [];
}

function byDepth(
  resources: readonly ObservedResource[],
  depths: ReadonlyMap<string, number> = new Map(),
): readonly (readonly ObservedResource[])[] {
  const depthOf = ({ owner }: ObservedResource): number => depths.get(owner) ?? 0;
  const levels = [...new Set(resources.map(depthOf))].sort((a, b) => a - b);
  return levels.map((level) => resources.filter((resource) => depthOf(resource) === level).sort(byKind));
}

function forcedBy({ owner }: DesiredResource, forced: PlanUpOptions["forceRecreate"] = false): string | undefined {
  if (typeof forced === "boolean") return forced ? "forced" : undefined;
  return forced.has(owner) ? "source files changed" : undefined;
}

/** Whether an observed port, `host:port->port/proto`, is one of those that are needed. */
function isAmong(port: string, needed: readonly string[]): boolean {
  const [host = "", inside = ""] = port.split("->");
  return needed.includes(`${host}/${inside.split("/")[1] ?? "tcp"}`);
}

/** Whether a component is replaced for the very setting, which then is not applied to one that runs on. */
function bringsAbout(change: Change, { component, key }: LiveChange): boolean {
  if (change.action !== "replace" || change.resource.owner !== component) return false;
  return change.resource.parts[key] !== change.observed.parts[key];
}

/** What the steps mean for events that are under way and for stored positions. */
function effectsOf(steps: readonly PlanStep[]): readonly string[] {
  const of = (...actions: readonly Change["action"][]): boolean =>
    steps.some(({ change }) => actions.includes(change.action) && resourceOf(change).kind === "component");
  return [
    ...(of("replace", "restart")
      ? ["Replaced components drain before they stop; remaining events go to their replacements. Positions are kept."]
      : []),
    ...(of("remove")
      ? [
          "Removed components with downstream components drain before they stop; others, such as sinks, finish only the events in progress: what else waits for them goes to new components with the same upstream, if there are any.",
        ]
      : []),
  ];
}

/** A component that exits with 0 has done its work; a service only where something waits for it to complete. */
function countsAsCompleted(resource: DesiredResource, desired: readonly DesiredResource[]): boolean {
  if (resource.kind === "component") return true;
  return desired.some(({ after }) =>
    after.some(({ key, condition }) => key === resource.key && condition === "completed"),
  );
}

function networksToReplace(
  desired: readonly DesiredResource[],
  seen: ReadonlyMap<ResourceKey, ObservedResource>,
): ReadonlySet<ResourceKey> {
  const result = new Set<ResourceKey>();
  for (const resource of desired) {
    const existing = seen.get(resource.key);
    if (resource.kind === "network" && existing !== undefined && existing.hash !== resource.hash)
      result.add(resource.key);
  }
  return result;
}

/** The keys of what `owners` are, and of everything that those wait for, however indirectly. */
function withNeeds(desired: readonly DesiredResource[], owners: ReadonlySet<string>): ReadonlySet<ResourceKey> {
  const byKey = new Map(desired.map((resource) => [resource.key, resource]));
  const result = new Set<ResourceKey>();
  const visit = (resource: DesiredResource): void => {
    if (result.has(resource.key)) return;
    result.add(resource.key);
    for (const { key } of resource.after) {
      const before = byKey.get(key);
      if (before !== undefined) visit(before);
    }
  };
  for (const resource of desired) if (owners.has(resource.owner) && isRunnable(resource)) visit(resource);
  return result;
}

function inScope(resource: ObservedResource, only: ReadonlySet<string> | undefined): boolean {
  return only === undefined || (only.has(resource.owner) && isRunnable(resource));
}

function isRunnable(resource: { readonly kind: string }): boolean {
  return resource.kind === "component" || resource.kind === "service";
}

function surplusCause(resource: ObservedResource, desired: readonly DesiredResource[]): string {
  const siblings = desired.filter((other) => other.kind === resource.kind && other.owner === resource.owner).length;
  return siblings > 0 ? `scaled to ${siblings}` : "removed from the pipeline";
}
