import { createSocket, type Socket } from "node:dgram";
import { createServer } from "node:net";
import { FlowctlError } from "../foundation/errors.ts";

/**
 * Below the ports that systems take for outgoing connections, and below those that the process driver gives to the
 * components of pipelines, so that neither gets there before the component under test does.
 */
const firstPort = 12_000;
const portCount = 8_000;
const attempts = 500;

/**
 * A TCP port of this machine that no other test of a component is given until it is released: a program that is being
 * started does not listen yet, and its port looks free to everybody else. What says so to other processes is a UDP socket
 * of the same number, which ends with its process, whatever ends that.
 */
export class PortLease {
  readonly port: number;
  readonly #lease: Socket;

  private constructor(port: number, lease: Socket) {
    this.port = port;
    this.#lease = lease;
  }

  /** Leases a port on which nobody listens. Throws `conformance/no-free-port` when there seems to be none. */
  static async take(): Promise<PortLease> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const port = firstPort + Math.floor(Math.random() * portCount);
      const lease = await bindDatagrams(port);
      if (lease === undefined) continue;
      // Only looked at by whoever holds the lease: looking is listening, and would be in the way of a program that starts.
      if (await nobodyListens(port)) return new PortLease(port, lease);
      lease.close();
    }
    throw new FlowctlError({
      code: "conformance/no-free-port",
      kind: "unavailable",
      message: `No free port was found between ${firstPort} and ${firstPort + portCount - 1}`,
      fix: "End what listens there, or wait until other tests of components are finished.",
    });
  }

  release(): void {
    this.#lease.close();
  }
}

function bindDatagrams(port: number): Promise<Socket | undefined> {
  const socket = createSocket("udp4");
  socket.unref();
  return new Promise((resolve) => {
    socket.once("error", () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind({ address: "127.0.0.1", port, exclusive: true }, () => resolve(socket));
  });
}

/** On any address: components may listen on all of them. */
function nobodyListens(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.on("error", () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
