import { type DesiredChange, instanceIdsOf, type PipelineSpec } from "../protocol/records.ts";

/**
 * What is wanted of an instance; `leaving`: it was scaled away, and is to run until it has handed on what it holds; `absent`:
 * the pipeline does not have it (any more).
 */
export type Desire = "running" | "stopped" | "leaving" | "absent";

/** The desired state as it is kept: what the pipeline is to have, and what of it is to be stopped. */
export interface DesiredState {
  readonly spec?: PipelineSpec | undefined;
  /** Ids of instances that are to be stopped; all others of the spec are to run. */
  readonly stopped?: readonly string[] | undefined;
}

export function desireOf({ spec, stopped }: DesiredState, componentId: string, instanceId: string): Desire {
  const component = spec?.components.find(({ id }) => id === componentId);
  if (component === undefined) return "absent";
  const leaves = component.leavingInstances?.includes(instanceId) ?? false;
  if (!leaves && !instanceIdsOf(component).includes(instanceId)) return "absent";
  if (stopped?.includes(instanceId)) return "stopped";
  return leaves || component.leaving === true ? "leaving" : "running";
}

/** Every instance that the pipeline has or is to have, those that leave included, in the order of the file. */
export function desiredInstances({
  spec,
}: DesiredState): readonly { readonly componentId: string; readonly id: string }[] {
  return (spec?.components ?? []).flatMap((component) =>
    [...instanceIdsOf(component), ...(component.leavingInstances ?? [])].map((id) => ({
      componentId: component.id,
      id,
    })),
  );
}

/** What is to be stopped after another spec was applied: what leaves has to run for that, whatever stopped it before. */
export function stoppedAfterApply(spec: PipelineSpec, stopped: readonly string[] | undefined): readonly string[] {
  const state: DesiredState = { spec };
  const all = desiredInstances(state).filter(({ componentId, id }) => desireOf(state, componentId, id) === "running");
  return all.map(({ id }) => id).filter((id) => stopped?.includes(id) ?? false);
}

/** What is to be stopped after a change, in the order of the file; ids that the pipeline does not have are left out. */
export function stoppedAfter(
  state: DesiredState,
  { running = [], started = [], stopped = [] }: DesiredChange,
): readonly string[] {
  const going = new Set(state.stopped);
  const all = desiredInstances(state).map(({ id }) => id);
  for (const id of [...running, ...started]) going.delete(id);
  for (const id of stopped === "all" ? all : stopped) going.add(id);
  return all.filter((id) => going.has(id));
}
