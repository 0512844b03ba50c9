import { PortLease } from "../src/conformance/port-lease.ts";

const leases: PortLease[] = [];

/** A TCP port of this machine on which nobody listens, and that nobody else who asks so is given while this process lives. */
export async function freePort(): Promise<number> {
  const lease = await PortLease.take();
  leases.push(lease);
  return lease.port;
}
