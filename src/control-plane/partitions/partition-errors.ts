import { FlowctlError } from "../../foundation/errors.ts";
import type { Partition } from "../../protocol/records.ts";

/** An instance says something of a partition that another one reads, or that it has given back. */
export function notOwner(instanceId: string, { id, identity }: Partition): FlowctlError {
  const what =
    id === "" && identity === "" ? "this source" : `partition ${JSON.stringify(id)} (${JSON.stringify(identity)})`;
  return new FlowctlError({
    code: "registry/not-owner",
    kind: "conflict",
    message: `${instanceId} does not read ${what}: its position was not stored`,
    fix: "Read only what Topology.assignments gives, and stop reading what it revokes.",
  });
}

/** A source without declared partitions is read by one instance at a time. */
export function standsBy(instanceId: string, reader: string): FlowctlError {
  return new FlowctlError({
    code: "registry/stands-by",
    kind: "unavailable",
    message: `${instanceId} stands by while ${reader} reads: this source declares no partitions to share`,
    fix: "Try again; it is its turn when the other one has completed.",
  });
}

export function invalidPartitions(componentId: string, most: number, longest: number): FlowctlError {
  return new FlowctlError({
    code: "registry/invalid-partitions",
    kind: "invalid",
    message: `${componentId} declares partitions that cannot be kept apart, or too many`,
    fix: `Give each an id of its own; at most ${most} partitions, ids and identities of at most ${longest} characters.`,
  });
}
