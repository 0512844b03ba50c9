import { FlowctlError } from "../../foundation/errors.ts";
import type { Partition } from "../../protocol/records.ts";

/** An instance says something of a partition that another one reads, or that it has given back. */
export function notOwner(instanceId: string, { id, identity }: Partition): FlowctlError {
  const what =
    id === "" && identity === "" ? "this source" : `partition ${JSON.stringify(id)} (${JSON.stringify(identity)})`;
  return new FlowctlError({
    code: "registry/not-owner",
    kind: "conflict",
    message: `${instanceId} is not assigned ${what}: its position was not stored`,
    fix: "Read only the partitions in Topology.assignments, and stop reading revoked ones.",
  });
}

/** A source without declared partitions is read by one instance at a time. */
export function standsBy(instanceId: string, reader: string): FlowctlError {
  return new FlowctlError({
    code: "registry/stands-by",
    kind: "unavailable",
    message: `${instanceId} is on standby while ${reader} reads: this source declares no partitions to share`,
    fix: "Retry; it takes over when the other instance has completed.",
  });
}

export function invalidPartitions(componentId: string, most: number, longest: number): FlowctlError {
  return new FlowctlError({
    code: "registry/invalid-partitions",
    kind: "invalid",
    message: `${componentId} declares duplicate or too many partitions`,
    fix: `Use unique ids; at most ${most} partitions, ids and identities of at most ${longest} characters.`,
  });
}
