import type { Component, Pipeline } from "./pipeline.ts";

/** One component → component connection. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  /** `dead_letter`: only events that `from` could not handle. */
  readonly kind: "input" | "dead_letter";
}

/** The directed graph of a pipeline. Immutable; unknown ids have no neighbours. Dead letters are edges apart. */
export interface Topology {
  /** In the order of the file. */
  readonly ids: readonly string[];
  /** `inputs` first, in the order of the file, then dead letters. */
  readonly edges: readonly Edge[];
  /** Components whose events `id` takes by its `inputs`. */
  upstreams(id: string): readonly string[];
  /** Components that take events of `id` by their `inputs`. */
  downstreams(id: string): readonly string[];
  /** The groups that share out the events of `id`: one for each downstream component, by its id. */
  groupsOf(id: string): readonly string[];
  /** Components whose dead letters `id` takes. */
  deadLettersOf(id: string): readonly string[];
  /**
   * Every id, each after all its upstreams and after those whose dead letters it takes; else in the order of the file.
   * What is part of a cycle comes last.
   */
  readonly order: readonly string[];
  /** Edges on the longest way from a source: 0 for a source. */
  depth(id: string): number;
  /** Each cycle once, as ids in the direction of the events, the one that comes first in the file first. */
  readonly cycles: readonly (readonly string[])[];
}

/** What a topology is made of; a Component is one. */
export type TopologyNode = Pick<Component, "id"> & {
  readonly inputs: readonly { readonly from: string }[];
  readonly onError?: { readonly to?: string };
};

/** The topology of a pipeline. */
export function topologyOf(pipeline: Pick<Pipeline, "components">): Topology {
  return makeTopology(pipeline.components);
}

/** The topology of any nodes; inputs from ids that are not among them are left out. Pure. */
export function makeTopology(nodes: readonly TopologyNode[]): Topology {
  const ids = nodes.map((node) => node.id);
  const known = new Set(ids);
  const upstreams = new Map<string, string[]>(ids.map((id) => [id, []]));
  const downstreams = new Map<string, string[]>(ids.map((id) => [id, []]));
  const deadLetters = new Map<string, string[]>(ids.map((id) => [id, []]));
  const inputEdges: Edge[] = [];
  const deadEdges: Edge[] = [];
  for (const node of nodes) {
    for (const from of new Set(node.inputs.map((input) => input.from))) {
      if (!known.has(from)) continue;
      upstreams.get(node.id)?.push(from);
      downstreams.get(from)?.push(node.id);
      inputEdges.push({ from, to: node.id, kind: "input" });
    }
    const to = node.onError?.to;
    if (to === undefined || !known.has(to)) continue;
    deadLetters.get(to)?.push(node.id);
    deadEdges.push({ from: node.id, to, kind: "dead_letter" });
  }
  const edges = [...inputEdges, ...deadEdges];
  const { order, depths, knotted } = sorted(ids, edges);
  return {
    ids,
    edges,
    upstreams: (id) => upstreams.get(id) ?? [],
    downstreams: (id) => downstreams.get(id) ?? [],
    groupsOf: (id) => downstreams.get(id) ?? [],
    deadLettersOf: (id) => deadLetters.get(id) ?? [],
    order,
    depth: (id) => depths.get(id) ?? 0,
    cycles: findCycles(knotted, edges),
  };
}

function sorted(ids: readonly string[], edges: readonly Edge[]) {
  const waiting = new Map<string, number>(ids.map((id) => [id, 0]));
  const next = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const edge of edges) {
    waiting.set(edge.to, (waiting.get(edge.to) ?? 0) + 1);
    next.get(edge.from)?.push(edge.to);
  }
  const depths = new Map<string, number>(ids.map((id) => [id, 0]));
  const order: string[] = [];
  const done = new Set<string>();
  const ready = ids.filter((id) => waiting.get(id) === 0);
  for (let at = 0; at < ready.length; at++) {
    const id = ready[at] ?? "";
    order.push(id);
    done.add(id);
    for (const to of next.get(id) ?? []) {
      depths.set(to, Math.max(depths.get(to) ?? 0, (depths.get(id) ?? 0) + 1));
      const left = (waiting.get(to) ?? 1) - 1;
      waiting.set(to, left);
      if (left === 0) ready.push(to);
    }
  }
  const rest = ids.filter((id) => !done.has(id));
  order.push(...rest);
  return { order, depths, knotted: withoutEnds(rest, edges) };
}

/** Takes away, until there are none, the ids from which no edge leads to another: what is left leads into a cycle. */
function withoutEnds(ids: readonly string[], edges: readonly Edge[]): readonly string[] {
  const left = new Set(ids);
  const inner = edges.filter((edge) => left.has(edge.from) && left.has(edge.to));
  const outgoing = new Map<string, number>();
  const before = new Map<string, string[]>();
  for (const { from, to } of inner) {
    outgoing.set(from, (outgoing.get(from) ?? 0) + 1);
    before.set(to, [...(before.get(to) ?? []), from]);
  }
  const ends = ids.filter((id) => !outgoing.has(id));
  for (let id = ends.pop(); id !== undefined; id = ends.pop()) {
    left.delete(id);
    for (const from of before.get(id) ?? []) {
      const count = (outgoing.get(from) ?? 1) - 1;
      outgoing.set(from, count);
      if (count === 0) ends.push(from);
    }
  }
  return ids.filter((id) => left.has(id));
}

/** One cycle for each strongly connected part: the shortest through its first member. */
function findCycles(ids: readonly string[], edges: readonly Edge[]): readonly (readonly string[])[] {
  const next = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const edge of edges) if (next.has(edge.to)) next.get(edge.from)?.push(edge.to);
  const cycles: string[][] = [];
  const covered = new Set<string>();
  for (const start of ids) {
    if (covered.has(start)) continue;
    const cycle = shortestCycle(start, next, covered);
    if (cycle === undefined) continue;
    for (const id of cycle) covered.add(id);
    cycles.push(cycle);
  }
  return cycles;
}

function shortestCycle(
  start: string,
  next: ReadonlyMap<string, readonly string[]>,
  excluded: ReadonlySet<string>,
): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let at = 0; at < queue.length; at++) {
    const id = queue[at] ?? start;
    for (const to of next.get(id) ?? []) {
      if (to === start) {
        const cycle = [id];
        for (let step = id; step !== start; ) {
          step = cameFrom.get(step) ?? start;
          cycle.push(step);
        }
        return cycle.reverse();
      }
      if (cameFrom.has(to) || excluded.has(to)) continue;
      cameFrom.set(to, id);
      queue.push(to);
    }
  }
  return undefined;
}
