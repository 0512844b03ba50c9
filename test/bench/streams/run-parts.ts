import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { connectControlPlane } from "../../../src/client/control-plane-client.ts";
import { startControlPlane } from "../../../src/control-plane/control-plane.ts";
import { createMemoryStore } from "../../../src/control-plane/store/memory-store.ts";
import { systemClock } from "../../../src/foundation/clock.ts";
import { silentLogger } from "../../../src/foundation/logger.ts";
import type { Settings } from "./parts/settings.ts";

/** One program of a run: its role, and whose output it takes. */
export interface PartPlan {
  readonly id: string;
  readonly role: Settings["role"];
  readonly from: readonly string[];
  /** Event types that it asks for; empty: all. */
  readonly types?: readonly string[];
}

export interface RunOptions {
  readonly program: "flowctl" | "loader" | "tcp";
  readonly plan: readonly PartPlan[];
  readonly count: number;
  readonly size: number;
  readonly rate?: number;
  readonly batch?: number;
}

export interface RunResult {
  /** At each sink, by its id. */
  readonly sinks: Readonly<Record<string, { readonly perSecond: number; readonly p50: number; readonly p99: number }>>;
  /** Peak resident memory in MiB and processor time in seconds, by id. */
  readonly used: Readonly<Record<string, { readonly memory: number; readonly seconds: number }>>;
}

const root = resolve(import.meta.dirname, "../../..");

/** Bundled programs, as components are shipped. */
export class Programs {
  private readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async build(): Promise<Programs> {
    // Inside the package, as its own bundles are: they look for their proto files there.
    await mkdir(join(root, ".cache"), { recursive: true });
    const folder = await mkdtemp(join(root, ".cache/bench-"));
    await build({
      entryPoints: ["flowctl-part", "loader-part", "tcp-part"].map((name) =>
        join(import.meta.dirname, `parts/${name}.ts`),
      ),
      outdir: folder,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      target: "node20",
      format: "esm",
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    });
    return new Programs(folder);
  }

  pathOf(program: RunOptions["program"]): string {
    return join(this.folder, `${program}-part.mjs`);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Runs the programs of a plan, each a process of its own, until every sink has reported. */
export async function runParts(programs: Programs, options: RunOptions): Promise<RunResult> {
  const ports = new Map<string, number>();
  for (const { id } of options.plan) ports.set(id, await freePort());
  const controlPlane = options.program === "flowctl" ? await startPlane(options.plan) : undefined;
  const folder = await mkdtemp(join(tmpdir(), "flowctl-bench-state-"));
  const children: ChildProcess[] = [];
  const sinks: Record<string, { perSecond: number; p50: number; p99: number }> = {};
  const used: Record<string, { memory: number; seconds: number }> = {};
  try {
    const reports = options.plan.map(async ({ id, role, from }) => {
      const settings: Settings = {
        role,
        count: options.count,
        size: options.size,
        rate: options.rate ?? 0,
        batch: options.batch ?? 1,
        port: ports.get(id)!,
        upstream: ports.get(from[0] ?? "") ?? 0,
      };
      const child = spawn(process.execPath, [...nodeOptions(), programs.pathOf(options.program)], {
        env: {
          ...process.env,
          BENCH: JSON.stringify(settings),
          BENCH_PROTO: join(root, "proto"),
          ...(controlPlane === undefined ? {} : controlPlane.environment(id, role, settings.port, join(folder, id))),
        },
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      const exited = new Promise<void>((done) => child.once("exit", () => done()));
      for await (const line of createInterface({ input: child.stdout })) {
        if (line.startsWith("RESULT ")) {
          sinks[id] = JSON.parse(line.slice(7)) as { perSecond: number; p50: number; p99: number };
          // The baselines do not know when to end.
          if (options.program !== "flowctl") for (const other of children) other.kill("SIGTERM");
        }
        if (line.startsWith("USED ")) used[id] = JSON.parse(line.slice(5)) as { memory: number; seconds: number };
      }
      await exited;
      if (sinks[id] === undefined && role === "sink") throw new Error(`${id} ended without a result`);
    });
    await Promise.all(reports);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await controlPlane?.close();
    await rm(folder, { recursive: true, force: true });
  }
  return { sinks, used };
}

async function startPlane(plan: readonly PartPlan[]) {
  const plane = await startControlPlane({
    pipeline: "bench",
    grpcListen: "127.0.0.1:0",
    httpListen: "127.0.0.1:0",
    store: createMemoryStore(),
    clock: systemClock,
    log: silentLogger,
  });
  const client = connectControlPlane(plane.grpcAddress);
  const typeOf = (role: Settings["role"]) => (role === "source" || role === "sink" ? role : "processor");
  await client.applyPipeline(
    {
      name: "bench",
      driver: "process",
      components: plan.map(({ id, role, from, types = [] }) => ({
        id,
        type: typeOf(role),
        replicas: 1,
        inputs: from.map((upstream) => ({ from: upstream, types })),
        consumes: [],
        produces: [],
        partitionBy: "",
        maxRestarts: 5,
        onError: { action: "fail", to: "", retries: 0, backoffMs: 0 },
      })),
    },
    AbortSignal.timeout(5_000),
  );
  client.close();
  return {
    environment: (id: string, role: Settings["role"], port: number, state: string): Record<string, string> => ({
      FLOWCTL_CONTROL_PLANE: plane.grpcAddress,
      FLOWCTL_PIPELINE: "bench",
      FLOWCTL_COMPONENT_ID: id,
      FLOWCTL_COMPONENT_TYPE: typeOf(role),
      FLOWCTL_INSTANCE_ID: `${id}-1`,
      FLOWCTL_LISTEN: `127.0.0.1:${port}`,
      FLOWCTL_ADVERTISE: `127.0.0.1:${port}`,
      FLOWCTL_HEALTH_PORT: "0",
      FLOWCTL_STATE_DIR: state,
      FLOWCTL_LOG_LEVEL: "warn",
    }),
    close: async () => await plane.close(),
  };
}

/** Options for node that the caller gives the programs, such as `--cpu-prof --cpu-prof-dir=DIR` to see where time goes. */
function nodeOptions(): readonly string[] {
  return (process.env.BENCH_NODE_OPTIONS ?? "").split(" ").filter((option) => option !== "");
}

async function freePort(): Promise<number> {
  const server = createServer();
  return await new Promise((done, failed) => {
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
