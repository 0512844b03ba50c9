/**
 * What a component may support beyond the basics of the contract, as it says in `RegisterComponentRequest.features`. The
 * names are on the wire: they are added to, and never change their meaning.
 *
 * - `types`: sends a group only the types that the topology gives it
 * - `partition_by`: sends events with the same key to the same instance of a group
 * - `memory_buffer`: keeps to `Downstream.buffer` of type memory, `when_full` included
 * - `disk_buffer`: the same for a buffer on disk
 * - `on_error`: does with an event that it cannot process what `Topology.on_error` says
 * - `draining`: sends nothing new to a group that drains, and says when that has everything; see `Downstream.draining`
 * - `leaving`: ends by itself when the topology says so; see `Topology.leaving`
 * - `marks`: says when a group has acknowledged what it was owed; see `Downstream.mark`
 * - `dead_letters`: sends such events to the group that has `dead_letters`
 */
export const everyFeature = [
  "types",
  "partition_by",
  "memory_buffer",
  "disk_buffer",
  "on_error",
  "dead_letters",
  "draining",
  "leaving",
  "marks",
] as const;

export type Feature = (typeof everyFeature)[number];
