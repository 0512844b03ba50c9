import type { DrawnComponent } from "../../pipeline/render/describe-component.ts";
import type { PipelineRecord } from "../../protocol/records.ts";

export interface DrawnPipeline {
  readonly name: string;
  readonly components: readonly DrawnComponent[];
}

/** What the control plane knows of a pipeline that can be drawn: what runs a component is known to the file alone. */
export function drawnOf({ name, spec }: Pick<PipelineRecord, "name" | "spec">): DrawnPipeline {
  const components = (spec?.components ?? []).map(({ id, type, replicas, inputs, onError }) => ({
    ...{ id, type, replicas, inputs },
    onError: onError.action === "dead_letter" ? { to: onError.to } : {},
  }));
  return { name, components };
}
