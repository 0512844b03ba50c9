import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { FlowctlError } from "../../../foundation/errors.ts";
import { acquireLock, type Lock } from "../supervisor/single-instance-lock.ts";

export interface PortRange {
  readonly first: number;
  readonly count: number;
}

/** Below the range that systems take the ports of outgoing connections from, so that none of those is in the way. */
const PORTS: PortRange = { first: 20_000, count: 12_000 };
const ATTEMPTS = 200;

/** Whether a server could listen on this port of 127.0.0.1 now. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Ports of 127.0.0.1 that no other flowctl on this machine takes, from their choice on until they are released or this
 * process ends: a program that is being started does not listen yet, and its port looks free to everybody else.
 */
export class PortReservations {
  readonly #range: PortRange;
  readonly #locks = new Map<number, Lock>();

  constructor(range: PortRange = PORTS) {
    this.#range = range;
  }

  /** Reserves a port, where nobody listens on it and no other flowctl has reserved it. Returns whether it could. */
  async reserve(port: number): Promise<boolean> {
    const known = this.#locks.get(port);
    const lock = known ?? (await acquireLock(`port-${port}`));
    if (lock === undefined) return false;
    if (await isPortFree(port)) {
      this.#locks.set(port, lock);
      return true;
    }
    if (known === undefined) await lock.release();
    return false;
  }

  /** Reserves a port that is not among `avoid`. A random one, so that the first attempt mostly succeeds. */
  async allocate(avoid: ReadonlySet<number>): Promise<number> {
    const { first, count } = this.#range;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const port = first + randomInt(count);
      if (!avoid.has(port) && !this.#locks.has(port) && (await this.reserve(port))) return port;
    }
    throw new FlowctlError({
      code: "process/no-free-port",
      kind: "unavailable",
      message: `No free port on 127.0.0.1 between ${first} and ${first + count - 1}`,
      fix: `Stop programs that use these ports; find them with \`ss -ltnp 'sport >= :${first} and sport < :${first + count}'\``,
    });
  }

  /** Gives ports back; those that are not reserved are passed over. */
  async release(...ports: readonly number[]): Promise<void> {
    for (const port of ports) {
      const lock = this.#locks.get(port);
      this.#locks.delete(port);
      await lock?.release();
    }
  }

  async releaseAll(): Promise<void> {
    await this.release(...this.#locks.keys());
  }
}
