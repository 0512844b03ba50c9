import type { Topology } from "../protocol/records.ts";
import type { InstanceReference } from "../protocol/registry-codec.ts";
import { encodeTopology, type TopologyMessage } from "../protocol/topology-codec.ts";
import type { PartitionTable } from "./partitions/partition-table.ts";
import type { Registry } from "./registry.ts";
import type { Replays } from "./replay/replays.ts";
import type { StateWriter } from "./state-writer.ts";

export interface TopologyParts {
  readonly registry: Pick<Registry, "topology" | "topologyChanges">;
  readonly partitions: Pick<PartitionTable, "viewOf">;
  readonly replays: Pick<Replays, "upstreamsOf">;
  readonly writer: Pick<StateWriter, "durable">;
}

/**
 * What an instance is to be connected to, and to read, now.
 *
 * @param authority `host:port` by which the instance reaches the control plane.
 */
export function topologyOf(
  { registry, partitions, replays }: TopologyParts,
  reference: InstanceReference,
  authority: string,
): Topology {
  const topology = registry.topology(reference);
  const upstreams = [...topology.upstreams, ...replays.upstreamsOf(reference.componentId, authority)];
  return { ...topology, upstreams, ...partitions.viewOf(reference) };
}

/**
 * The topology of an instance now, and whenever it changes, the newest only. Nothing is told before it is on the disk: what a
 * component has acted on is not taken back because the control plane is killed.
 */
export async function* watchTopology(
  parts: TopologyParts,
  reference: InstanceReference,
  authority: string,
  signal: AbortSignal,
): AsyncGenerator<{ readonly topology: TopologyMessage }> {
  const changes = parts.registry.topologyChanges(reference.componentId);
  let last = "";
  for (;;) {
    const seen = changes.version;
    const topology = encodeTopology(topologyOf(parts, reference, authority));
    // A position is told with its assignment; that it has moved since is no news to its owner.
    const text = JSON.stringify(topology, (key, value: unknown) => (key === "position" ? undefined : value));
    if (text !== last) {
      await parts.writer.durable();
      yield { topology };
    }
    last = text;
    await changes.changed(seen, signal);
  }
}
