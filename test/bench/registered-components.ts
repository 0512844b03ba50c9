import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connectRegistry } from "../../src/client/registry-client.ts";
import type { InstanceMetrics } from "../../src/protocol/records.ts";
import type { Plan } from "./streams/plans.ts";

const PATIENCE_MS = 60_000;
const HEARTBEAT_MS = 10_000;
/** So many register at once: all of them together would be an exception to measure, not how it goes. */
const TOGETHER = 10;

/** Components of which the control plane sees all that it sees of real ones, and behind which nothing runs. */
export interface RegisteredComponents {
  dispose(): void;
}

/**
 * Registers an instance of every component of the plan, which from then on watches its topology, heartbeats, and answers
 * health polls.
 *
 * @param port of a control plane that listens on every address of this machine.
 */
export async function registerComponents(pipeline: string, plan: Plan, port: number): Promise<RegisteredComponents> {
  const health = await healthServer();
  const healthEndpoint = `127.0.0.1:${(health.address() as AddressInfo).port}`;
  const leaving: (() => void)[] = [];
  const dispose = (): void => {
    for (const leave of leaving) leave();
    health.close();
    health.closeAllConnections();
  };
  const register = async (index: number): Promise<void> => {
    const { id, role } = plan[index]!;
    const type = role === "source" || role === "sink" ? role : "processor";
    // Clients of one process share the connection to an address; an address of its own gives each a connection.
    const client = connectRegistry(`127.0.0.${index + 1}:${port}`, {
      ...{ pipeline, componentId: id, instanceId: `${id}-1`, type, incarnation: `bench-${index}` },
    });
    const stopped = new AbortController();
    leaving.push(() => {
      stopped.abort();
      client.close();
    });
    const address = type === "sink" ? "" : `127.0.0.1:${9000 + index}`;
    const metadata = { name: "bench", version: "1.0.0" };
    await client.register(
      { address, healthEndpoint, metadata, consumes: [], produces: [], features: [] },
      AbortSignal.timeout(PATIENCE_MS),
    );
    void watch(client.watchTopology(stopped.signal)).catch(() => undefined);
    const beat = setInterval(() => {
      client.heartbeat({ metrics: METRICS, degradedReason: "" }, AbortSignal.timeout(5_000)).catch(() => undefined);
    }, HEARTBEAT_MS);
    stopped.signal.addEventListener("abort", () => clearInterval(beat));
  };
  try {
    for (let first = 0; first < plan.length; first += TOGETHER) {
      const last = Math.min(first + TOGETHER, plan.length);
      await Promise.all(Array.from({ length: last - first }, (_, offset) => register(first + offset)));
    }
    return { dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

const METRICS: InstanceMetrics = {
  ...{ eventsIn: 1_000, eventsOut: 1_000, bytesIn: 50_000, bytesOut: 50_000, inFlight: 1, waiting: {} },
  ...{ eventsDropped: 0, eventsFiltered: 0, eventsFailed: 0, deadLetters: 0, retries: 0, backpressure: 0 },
};

async function watch(topologies: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of topologies);
}

async function healthServer(): Promise<Server> {
  const server = createServer((_, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end("{}"),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
