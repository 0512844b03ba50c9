import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { RegistryClient } from "../../src/client/client.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { connectRegistry } from "../../src/client/registry-client.ts";
import type { InstanceMetrics, PipelineSpec } from "../../src/protocol/records.ts";
import type { Row } from "./results-table.ts";
import { interleave, type Measured } from "./samples.ts";
import { makeWorkplace } from "./workplace.ts";

const components = 100;
/** Two heartbeats and four health polls of every component fall into it. */
const observedMs = 20_000;

const loadedName = `control plane, ${components} components`;
const emptyName = "control plane, none registered";
const bareName = "node that idles";

interface Observed {
  /** Megabytes in memory, with the pages of the Node.js binary that all its processes share. */
  readonly resident: number;
  /** Megabytes of its own: without what is mapped from files. */
  readonly anonymous: number;
  readonly cpuPercent: number;
}

/** Resident memory and processor time of a control plane with 100 registered, heartbeating, health-polled components. */
export async function measureControlPlane(rounds: number): Promise<readonly Row[]> {
  const busy: number[] = [];
  const own = { loaded: [] as number[], empty: [] as number[], bare: [] as number[] };
  const memoryOf = async (kind: keyof typeof own, round: number, observe: () => Promise<Observed>): Promise<number> => {
    const { resident, anonymous, cpuPercent } = await observe();
    if (round > 0) own[kind].push(anonymous);
    if (round > 0 && kind === "loaded") busy.push(cpuPercent);
    return resident;
  };
  const [loaded, empty, bare] = await interleave(
    [
      { name: loadedName, run: (round) => memoryOf("loaded", round, () => observeControlPlane(components)) },
      { name: emptyName, run: (round) => memoryOf("empty", round, () => observeControlPlane(0)) },
      { name: bareName, run: (round) => memoryOf("bare", round, observeBareNode) },
    ],
    rounds,
  );
  const bareOwn: Measured = { name: bareName, samples: own.bare };
  return [
    { what: "resident memory", unit: "MB", measured: loaded!, baseline: bare! },
    { what: "resident memory", unit: "MB", measured: empty!, baseline: bare! },
    { what: "memory of its own", unit: "MB", measured: { name: loadedName, samples: own.loaded }, baseline: bareOwn },
    { what: "memory of its own", unit: "MB", measured: { name: emptyName, samples: own.empty }, baseline: bareOwn },
    { what: "processor", unit: "% of a core", measured: { name: loadedName, samples: busy } },
  ];
}

async function observeControlPlane(count: number): Promise<Observed> {
  const place = makeWorkplace("control-plane");
  const [grpcPort, httpPort] = [await freePort(), await freePort()];
  const health = await healthServer();
  const child = spawn(process.execPath, [resolve(import.meta.dirname, "../../dist/control-plane.js")], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      ...process.env,
      FLOWCTL_PIPELINE: "bench",
      FLOWCTL_GRPC_LISTEN: `0.0.0.0:${grpcPort}`,
      FLOWCTL_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
      FLOWCTL_DATA_DIR: join(place.folder, "data"),
      FLOWCTL_PERSISTENCE: "leveldb",
      FLOWCTL_LOG_LEVEL: "error",
    },
  });
  const registered: { client: RegistryClient; stop: () => void }[] = [];
  try {
    const address = `127.0.0.1:${grpcPort}`;
    await answered(`http://127.0.0.1:${httpPort}/health`);
    const control = connectControlPlane(address);
    await control.applyPipeline(specOf(Math.max(count, 2)), AbortSignal.timeout(10_000));
    control.close();
    for (let index = 0; index < count; index += 1) {
      // Clients of one process share the connection to an address; an address of its own gives each a connection.
      registered.push(await registerOne(`127.0.0.${index + 1}:${grpcPort}`, index, count, health));
    }
    // What the registrations themselves needed is done with by then.
    await wait(5_000);
    const before = processorMs(child);
    await wait(count === 0 ? 1_000 : observedMs);
    const cpuPercent = (100 * (processorMs(child) - before)) / observedMs;
    return { ...memory(child), cpuPercent };
  } finally {
    for (const { stop, client } of registered) {
      stop();
      client.close();
    }
    await end(child);
    health.close();
    place.dispose();
  }
}

/** A chain of components; nothing runs behind them. */
function specOf(count: number): PipelineSpec {
  const onError = { action: "fail", to: "", retries: 0, backoffMs: 100 } as const;
  return {
    name: "bench",
    driver: "process",
    components: Array.from({ length: count }, (_, index) => ({
      id: `c${index}`,
      type: typeOf(index, count),
      replicas: 1,
      inputs: index === 0 ? [] : [{ from: `c${index - 1}`, types: [] }],
      consumes: [],
      produces: [],
      onError,
      partitionBy: "",
      maxRestarts: 5,
    })),
  };
}

function typeOf(index: number, count: number): "source" | "processor" | "sink" {
  if (index === 0) return "source";
  return index === count - 1 ? "sink" : "processor";
}

async function registerOne(address: string, index: number, count: number, health: Server) {
  const client = connectRegistry(address, {
    pipeline: "bench",
    componentId: `c${index}`,
    instanceId: `c${index}-1`,
    type: typeOf(index, count),
    incarnation: `bench-${index}`,
  });
  await client.register(
    {
      address: index === count - 1 ? "" : `127.0.0.1:${9000 + index}`,
      healthEndpoint: `127.0.0.1:${(health.address() as AddressInfo).port}`,
      metadata: { name: "bench", version: "1.0.0" },
      consumes: [],
      produces: [],
    },
    AbortSignal.timeout(10_000),
  );
  const stopped = new AbortController();
  const watching = (async () => {
    for await (const _ of client.watchTopology(stopped.signal)) if (stopped.signal.aborted) return;
  })().catch(() => undefined);
  const beat = setInterval(() => {
    client.heartbeat({ metrics: metrics(), degradedReason: "" }, AbortSignal.timeout(5_000)).catch(() => undefined);
  }, 10_000);
  return {
    client,
    stop: () => {
      clearInterval(beat);
      stopped.abort();
      void watching;
    },
  };
}

function metrics(): InstanceMetrics {
  const none = { eventsDropped: 0, eventsFiltered: 0, eventsFailed: 0, deadLetters: 0, retries: 0, backpressure: 0 };
  return { eventsIn: 1_000, eventsOut: 1_000, bytesIn: 50_000, bytesOut: 50_000, inFlight: 1, waiting: {}, ...none };
}

async function observeBareNode(): Promise<Observed> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  try {
    await wait(1_000);
    return { ...memory(child), cpuPercent: 0 };
  } finally {
    await end(child);
  }
}

function memory(child: ChildProcess): { resident: number; anonymous: number } {
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const field = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  return { resident: field("VmRSS"), anonymous: field("RssAnon") };
}

/** Time on a processor so far; Linux counts it in hundredths of a second. */
function processorMs(child: ChildProcess): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await once(child, "exit");
  clearTimeout(timer);
}

async function healthServer(): Promise<Server> {
  const server = createServer((_, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end("{}"),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function answered(url: string): Promise<void> {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    if (performance.now() > deadline) throw new Error(`${url} did not answer`);
    await wait(50);
  }
}
