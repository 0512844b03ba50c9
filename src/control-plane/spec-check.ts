import type { PipelineSpec } from "../protocol/records.ts";
import { checkEventTypes } from "./event-types.ts";
import { invalidSpec, wrongPipeline } from "./registry-errors.ts";

/**
 * Throws when a pipeline that somebody applies cannot be this control plane's: another name, ids that are there twice,
 * inputs or dead-letter targets that do not exist, declared event types that cannot meet. The pipeline file was checked
 * long before; this holds for every other client.
 */
export function checkSpec(spec: PipelineSpec, pipeline: string): void {
  if (spec.name !== pipeline) throw wrongPipeline(spec.name, pipeline);
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
  for (const component of spec.components) checkEventTypes(spec, component.id, (declared) => declared);
}
