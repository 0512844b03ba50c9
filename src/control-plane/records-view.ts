import type { ComponentRecord, PipelineRecord, PipelineSpec, PipelineState, Topology } from "../protocol/records.ts";
import { type InstanceEntry, recordOf } from "./instance.ts";
import type { InstanceTable } from "./instance-table.ts";
import { componentStateOf } from "./pipeline-state.ts";
import { connectionsOf, type TopologyInstance, topologyOf } from "./topology.ts";

/** The pipeline as it is kept. Plain JSON. Times are Unix milliseconds. */
export interface PipelineData {
  /** Absent until somebody applied one. */
  readonly spec?: PipelineSpec;
  readonly state: PipelineState;
  readonly reason: string;
  readonly startedAt: number;
  /** Set exactly while it is completed or failed. */
  readonly finishedAt?: number;
}

/** The public record of a pipeline. */
export function pipelineRecordOf(name: string, pipeline: PipelineData, instances: InstanceTable): PipelineRecord {
  const { spec, ...same } = pipeline;
  return {
    ...same,
    id: name,
    name,
    driver: spec?.driver ?? "",
    components: componentRecordsOf(spec, instances),
    topology: spec === undefined ? {} : connectionsOf(spec),
  };
}

/** The public records of all components, in the order of the file; empty without a spec. */
export function componentRecordsOf(
  spec: PipelineSpec | undefined,
  instances: InstanceTable,
): readonly ComponentRecord[] {
  if (spec === undefined) return [];
  const connections = connectionsOf(spec);
  return spec.components.map((component) => ({
    id: component.id,
    type: component.type,
    state: componentStateOf({ spec: component, instances: instances.dataOf(component.id) }),
    connections: connections[component.id] ?? { upstream: [], downstream: [] },
    desiredInstances: component.replicas,
    instances: instances.of(component.id).map(recordOf),
  }));
}

/** What surrounds component `id`; undefined when the spec has no such component. */
export function topologyRecordOf(spec: PipelineSpec, id: string, instances: InstanceTable): Topology | undefined {
  const component = spec.components.find((other) => other.id === id);
  if (component === undefined) return undefined;
  return topologyOf(spec, component, (componentId) => instances.of(componentId).map(topologyInstance));
}

function topologyInstance({ data }: InstanceEntry): TopologyInstance {
  return { id: data.id, address: data.live ? data.address : "", completed: data.state.name === "completed" };
}
