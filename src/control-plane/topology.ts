import type {
  ComponentSpec,
  Connections,
  Downstream,
  InFlightAllowance,
  PipelineSpec,
  Topology,
  Upstream,
} from "../protocol/records.ts";

/** What the topology needs to know of an instance. */
export interface TopologyInstance {
  readonly id: string;
  /** Empty while it cannot be dialled. */
  readonly address: string;
  readonly completed: boolean;
}

/** The instances of a component that the registry knows, in the order of their numbers. */
export type InstancesOf = (componentId: string) => readonly TopologyInstance[];

/** One edge, as seen from below. Dead letters travel on an edge of their own. */
export interface SpecEdge {
  readonly from: ComponentSpec;
  readonly to: ComponentSpec;
  readonly types: readonly string[];
  readonly deadLetters: boolean;
  readonly buffer: Downstream["buffer"] | undefined;
  /** The file no longer names it: it ends once everything owed was delivered. */
  readonly draining?: boolean;
  /** Removed components whose undelivered events go this way. */
  readonly takesOver?: readonly string[];
  /** The file no longer names it: it goes on until what takes its place has caught up. */
  readonly ending?: boolean;
  /** See `Downstream.mark`. */
  readonly mark?: number | undefined;
}

/** Every edge of a pipeline whose ends both exist, in the order of the file. */
export function edgesOf(spec: PipelineSpec): readonly SpecEdge[] {
  const byId = new Map(spec.components.map((component) => [component.id, component]));
  const edges: SpecEdge[] = [];
  for (const to of spec.components) {
    for (const input of to.inputs) {
      const from = byId.get(input.from);
      if (from === undefined) continue;
      const { types, wide = types, buffer, draining = false, ending = false, takesOver = [], mark } = input;
      edges.push({ from, to, types: wide, deadLetters: false, buffer, draining, ending, takesOver, mark });
    }
  }
  for (const from of spec.components) {
    const to = from.onError.action === "dead_letter" ? byId.get(from.onError.to) : undefined;
    if (to !== undefined) edges.push({ from, to, types: [], deadLetters: true, buffer: undefined });
  }
  return edges;
}

/** What of a component's topology only a changed pipeline changes. */
export interface Surroundings {
  readonly component: ComponentSpec;
  readonly above: readonly SpecEdge[];
  readonly below: readonly SpecEdge[];
  readonly inFlightAllowance: InFlightAllowance;
}

/** The surroundings of every component, by its id. */
export function surroundingsOf(spec: PipelineSpec): ReadonlyMap<string, Surroundings> {
  const edges = edgesOf(spec);
  const above = groupBy(edges, (edge) => edge.to.id);
  const below = groupBy(edges, (edge) => edge.from.id);
  const known = new Map<string, Below>();
  return new Map(
    spec.components.map((component) => [
      component.id,
      {
        component,
        above: above.get(component.id) ?? [],
        below: below.get(component.id) ?? [],
        inFlightAllowance: allowanceOf(component.id, below, known),
      },
    ]),
  );
}

/**
 * Whom an instance of the component dials, and whose acknowledgements it waits for.
 *
 * @param leaving The instance is to end once everything that it holds was handed on.
 */
export function topologyOf(surroundings: Surroundings, instancesOf: InstancesOf, leaving = false): Topology {
  return {
    ...(leaving ? { leaving } : {}),
    upstreams: surroundings.above.map((edge) => upstreamOf(edge, instancesOf)),
    downstreams: surroundings.below.map(downstreamOf),
    onError: surroundings.component.onError,
    inFlightAllowance: surroundings.inFlightAllowance,
  };
}

/** Where a buffer says only how many events it holds, or only how many bytes, what is taken for an event. */
const usualEventBytes = 1024;

/**
 * What a component allows covers itself and the next below. Each further one has some in hand, or on the way, while a
 * program of the path waits for a processor: without more, long pipelines would wait for acknowledgements.
 */
const hopAllowance: InFlightAllowance = { events: 2048, bytes: 1024 * 1024 };
/** So many count: what is in flight may be sent again after a crash, so that there is an end to it. */
const maxHops = 6;

interface Below extends InFlightAllowance {
  /** Components below each other, until the next buffer on disk. */
  readonly hops: number;
}

const NOTHING_BELOW: Below = { events: 0, bytes: 0, hops: 0 };

/**
 * How much more than usual may be in flight at a component, since nothing that is further down is acknowledged: what
 * buffers in memory below it may hold, along the path that holds the most, and something for every hop beyond the next. A
 * buffer on disk, and one that drops, acknowledges: nothing below it counts.
 */
function allowanceOf(
  id: string,
  below: ReadonlyMap<string, readonly SpecEdge[]>,
  known: Map<string, Below>,
): InFlightAllowance {
  const { events, bytes, hops } = whatIsBelow(id, below, known);
  const further = Math.min(maxHops, Math.max(0, hops - 1));
  return { events: events + further * hopAllowance.events, bytes: bytes + further * hopAllowance.bytes };
}

function whatIsBelow(id: string, below: ReadonlyMap<string, readonly SpecEdge[]>, known: Map<string, Below>): Below {
  const before = known.get(id);
  if (before !== undefined) return before;
  let { events, bytes, hops } = NOTHING_BELOW;
  for (const edge of below.get(id) ?? []) {
    // What drains only gets less; and only with it could the edges form a cycle.
    if (edge.buffer?.type === "disk" || edge.draining) continue;
    if (edge.buffer !== undefined && edge.buffer.whenFull !== "block") continue;
    const further = whatIsBelow(edge.to.id, below, known);
    const { maxEvents = 0, maxBytes = 0 } = edge.buffer ?? {};
    events = Math.max(events, further.events + (maxEvents > 0 ? maxEvents : Math.ceil(maxBytes / usualEventBytes)));
    bytes = Math.max(bytes, further.bytes + (maxBytes > 0 ? maxBytes : maxEvents * usualEventBytes));
    hops = Math.max(hops, further.hops + 1);
  }
  const found = { events, bytes, hops };
  known.set(id, found);
  return found;
}

/** Component id → the ids above and below it, dead-letter edges included, edges that the file no longer names left out. */
export function connectionsOf(spec: PipelineSpec): Readonly<Record<string, Connections>> {
  const edges = edgesOf(spec).filter(({ draining, ending }) => !draining && !ending);
  return Object.fromEntries(
    spec.components.map(({ id }) => [
      id,
      {
        upstream: unique(edges.filter((edge) => edge.to.id === id).map((edge) => edge.from.id)),
        downstream: unique(edges.filter((edge) => edge.from.id === id).map((edge) => edge.to.id)),
      },
    ]),
  );
}

function upstreamOf(edge: SpecEdge, instancesOf: InstancesOf): Upstream {
  const instances = instancesOf(edge.from.id);
  return {
    componentId: edge.from.id,
    types: edge.types,
    desiredInstances: edge.from.replicas,
    instances: instances.map(({ id, address, completed }) => ({ instanceId: id, address, completed })),
    completed: instances.length >= edge.from.replicas && instances.every((instance) => instance.completed),
    deadLetters: edge.deadLetters,
    ...(edge.draining ? { draining: true as const } : {}),
  };
}

function downstreamOf(edge: SpecEdge): Downstream {
  return {
    componentId: edge.to.id,
    types: edge.types,
    partitionBy: edge.to.partitionBy,
    ...(edge.buffer === undefined ? {} : { buffer: edge.buffer }),
    desiredInstances: edge.to.replicas,
    deadLetters: edge.deadLetters,
    ...(edge.draining ? { draining: true as const } : {}),
    ...(edge.takesOver === undefined || edge.takesOver.length === 0 ? {} : { takesOver: edge.takesOver }),
    ...(edge.mark === undefined ? {} : { mark: edge.mark }),
  };
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}

function groupBy(
  edges: readonly SpecEdge[],
  key: (edge: SpecEdge) => string,
): ReadonlyMap<string, readonly SpecEdge[]> {
  const groups = new Map<string, SpecEdge[]>();
  for (const edge of edges) groups.set(key(edge), [...(groups.get(key(edge)) ?? []), edge]);
  return groups;
}
