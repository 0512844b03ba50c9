import { requireId } from "../protocol/bounds.ts";
import type { PipelineSpec } from "../protocol/records.ts";
import { checkEventTypes } from "./event-types.ts";
import { invalidSpec, wrongPipeline } from "./registry-errors.ts";
import { edgesOf } from "./topology.ts";

/** What a control plane can serve: each component, instance and input costs memory, and time at every change. */
const MAX_COMPONENTS = 1_000;
const MAX_INPUTS = 10_000;
/** Of one component, as in the pipeline file, and of all of them. */
const MAX_REPLICAS = 1_000;
const MAX_INSTANCES = 10_000;

/**
 * Throws when a pipeline that somebody applies cannot be this control plane's: another name, more than it can serve, ids that are there twice,
 * inputs or dead-letter targets that do not exist, a cycle, declared event types that cannot meet. The pipeline file was checked
 * long before; this holds for every other client.
 */
export function checkSpec(spec: PipelineSpec, pipeline: string): void {
  if (spec.name !== pipeline) throw wrongPipeline(spec.name, pipeline);
  checkSize(spec);
  const ids = new Set<string>();
  for (const [index, component] of spec.components.entries()) {
    if (ids.has(component.id)) {
      throw invalidSpec(`there are two components ${component.id}`, `spec.components[${index}].component_id`);
    }
    ids.add(component.id);
  }
  for (const [index, component] of spec.components.entries()) {
    const path = `spec.components[${index}]`;
    for (const input of component.inputs) {
      if (!ids.has(input.from)) {
        throw invalidSpec(`${component.id} has an input from ${input.from}, which does not exist`, `${path}.inputs`);
      }
    }
    const { action, to } = component.onError;
    if (action === "dead_letter" && !ids.has(to)) {
      throw invalidSpec(`${component.id} sends dead letters to ${to}, which does not exist`, `${path}.on_error.to`);
    }
  }
  const cycle = findCycle(spec);
  if (cycle !== undefined) throw invalidSpec(`the connections ${cycle.join(" → ")} form a cycle`, "spec.components");
  for (const component of spec.components) checkEventTypes(spec, component.id, (declared) => declared);
}

/** Throws for more than there is memory for, before anything is made of it. */
function checkSize({ components }: PipelineSpec): void {
  if (components.length > MAX_COMPONENTS)
    throw invalidSpec(`${components.length} components are more than ${MAX_COMPONENTS}`, "spec.components");
  const inputs = components.reduce((sum, component) => sum + component.inputs.length, 0);
  if (inputs > MAX_INPUTS) throw invalidSpec(`${inputs} inputs are more than ${MAX_INPUTS}`, "spec.components");
  for (const [index, { id, replicas, instanceIds = [] }] of components.entries()) {
    requireId(id, `spec.components[${index}].component_id`);
    if (Math.max(replicas, instanceIds.length) > MAX_REPLICAS)
      throw invalidSpec(
        `${replicas} replicas of ${id} are more than ${MAX_REPLICAS}`,
        `spec.components[${index}].replicas`,
      );
    for (const instance of instanceIds) requireId(instance, `spec.components[${index}].instance_ids`);
  }
  const instances = components.reduce((sum, { replicas }) => sum + replicas, 0);
  if (instances > MAX_INSTANCES)
    throw invalidSpec(`${instances} instances are more than ${MAX_INSTANCES}`, "spec.components");
}

/** Ids along a way that comes back to where it began; undefined when there is none. */
function findCycle(spec: PipelineSpec): readonly string[] | undefined {
  const below = new Map<string, string[]>();
  for (const { from, to } of edgesOf(spec)) below.set(from.id, [...(below.get(from.id) ?? []), to.id]);
  const done = new Set<string>();
  const follow = (id: string, way: readonly string[]): readonly string[] | undefined => {
    if (way.includes(id)) return [...way.slice(way.indexOf(id)), id];
    if (done.has(id)) return undefined;
    for (const next of below.get(id) ?? []) {
      const cycle = follow(next, [...way, id]);
      if (cycle !== undefined) return cycle;
    }
    done.add(id);
    return undefined;
  };
  for (const { id } of spec.components) {
    const cycle = follow(id, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
