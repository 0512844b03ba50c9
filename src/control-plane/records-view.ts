import type { ComponentRecord, DrainingRecord, PipelineRecord, PipelineSpec, Topology } from "../protocol/records.ts";
import { type DesiredState, desireOf } from "./desired-state.ts";
import { type InstanceEntry, recordOf } from "./instance.ts";
import type { KnownInstances } from "./instance-table.ts";
import { componentStateOf, type PipelineData, viewOf } from "./pipeline-state.ts";
import { componentTotals, type RetiredTotals } from "./retired-totals.ts";
import { connectionsOf, type Surroundings, type TopologyInstance, topologyOf } from "./topology.ts";
import { appliedPart } from "./transition.ts";

/** The public record of a pipeline. */
export function pipelineRecordOf(name: string, pipeline: PipelineData, instances: KnownInstances): PipelineRecord {
  const { spec, stopped, retired, ...same } = pipeline;
  const draining = spec === undefined ? [] : drainingRecordsOf(spec);
  return {
    ...same,
    ...(draining.length > 0 ? { draining } : {}),
    ...(spec === undefined ? {} : { spec: appliedPart(spec) }),
    id: name,
    name,
    driver: spec?.driver ?? "",
    components: componentRecordsOf({ spec, stopped, retired }, instances),
    topology: spec === undefined ? {} : connectionsOf(spec),
  };
}

/** The public records of all components, in the order of the file; empty without a spec. */
export function componentRecordsOf(
  desired: DesiredState & { readonly retired?: RetiredTotals | undefined },
  instances: KnownInstances,
): readonly ComponentRecord[] {
  const { spec } = desired;
  if (spec === undefined) return [];
  const connections = connectionsOf(spec);
  return spec.components.map((component) => ({
    id: component.id,
    type: component.type,
    state: componentStateOf(viewOf(component, desired, instances.dataOf(component.id))),
    connections: connections[component.id] ?? { upstream: [], downstream: [] },
    desiredInstances: component.replicas,
    instances: instances
      .of(component.id)
      .map((entry) => recordOf(entry, desireOf(desired, component.id, entry.data.id) === "stopped")),
    totals: componentTotals(component.id, instances.dataOf(component.id), desired.retired),
  }));
}

/** The topology of one instance as of now. */
export function topologyRecordOf(surroundings: Surroundings, instances: KnownInstances, instanceId: string): Topology {
  const { leaving: gone, leavingInstances = [], type } = surroundings.component;
  // A processor or sink that leaves ends with its inputs, which drain.
  const leaving = leavingInstances.includes(instanceId) || (gone === true && type === "source");
  return topologyOf(surroundings, (componentId) => instances.of(componentId).map(topologyInstance), leaving);
}

/** What the last change of the pipeline removed and still has something to hand on. */
export function drainingRecordsOf(spec: PipelineSpec): readonly DrainingRecord[] {
  return spec.components.flatMap(({ id, leaving, leavingInstances = [], inputs }) => {
    if (leaving === true) return [{ componentId: id, instanceId: "", from: "" }];
    return [
      ...inputs.flatMap(({ from, draining }) => (draining ? [{ componentId: id, instanceId: "", from }] : [])),
      ...leavingInstances.map((instanceId) => ({ componentId: id, instanceId, from: "" })),
    ];
  });
}

/** Whether those below see a difference between two entries of one instance. */
export function looksDifferent(before: InstanceEntry | undefined, after: InstanceEntry): boolean {
  if (before === undefined) return true;
  const [was, is] = [topologyInstance(before), topologyInstance(after)];
  return was.address !== is.address || was.completed !== is.completed;
}

function topologyInstance({ data }: InstanceEntry): TopologyInstance {
  return { id: data.id, address: data.live ? data.address : "", completed: data.state.name === "completed" };
}
