import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, type WriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { ControlPlaneClient } from "../../src/client/client.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import type { ComponentSpec, PipelineRecord } from "../../src/protocol/records.ts";
import { freePort } from "../free-port.ts";

/** One component of a rig: what runs it, and its place in the topology. */
export interface Part {
  readonly spec: Pick<ComponentSpec, "id" | "type"> & Partial<ComponentSpec>;
  /** Name of a built-in, or argv. */
  readonly run: string | readonly string[];
  readonly config: Record<string, unknown>;
  /** What of the config is an instance's own. */
  readonly configOf?: (instance: string) => Record<string, unknown>;
  /** The largest file that it may write, in KiB, asked at each start; undefined for any. What goes beyond fails. */
  readonly largestFile?: () => number | undefined;
}

interface Running {
  readonly start: () => ChildProcess;
  /** Starts it again; while it is held down there is nothing to do. */
  launch: () => void;
  held: boolean;
  child: ChildProcess | undefined;
  exit: number | undefined;
  restarts: number;
}

const dist = resolve(import.meta.dirname, "../../dist");

/**
 * A pipeline of real processes without any driver: the control plane and every instance are children that are started
 * again as soon as they die, as a supervisor would. Kills are real. Everything lies in a folder of its own, which is kept
 * when the rig is closed with `keep`.
 */
export class Rig {
  readonly folder: string;
  private readonly name: string;
  private readonly parts: readonly Part[];
  private readonly running = new Map<string, Running>();
  private readonly log: WriteStream;
  /** Programs that ended by themselves in failure. */
  readonly crashes: string[] = [];
  /** What a component was scaled to. */
  private readonly replicas = new Map<string, number>();
  /** Instances that were scaled away. */
  private readonly leaving: Running[] = [];
  private client: ControlPlaneClient | undefined;
  private grpcPort = 0;
  private closed = false;

  private constructor(folder: string, name: string, parts: readonly Part[]) {
    this.folder = folder;
    this.name = name;
    this.parts = parts;
    this.log = createWriteStream(join(folder, "log.txt"));
  }

  static async start(name: string, parts: (folder: string) => readonly Part[]): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), `flowctl-chaos-${name}-`));
    const rig = new Rig(folder, name, parts(folder));
    await rig.boot();
    return rig;
  }

  /** Instance ids, and `control-plane`. */
  get names(): string[] {
    return [...this.running.keys()];
  }

  /** How often an instance was started again. */
  restarts(name: string): number {
    return this.running.get(name)?.restarts ?? 0;
  }

  /** Once a program: one that was asked to stop is not asked a second time, which would mean at once. */
  kill(name: string, signal: NodeJS.Signals = "SIGKILL"): void {
    const running = this.running.get(name);
    if (running?.exit === undefined && running?.child?.killed === false) running.child.kill(signal);
  }

  /** Sends a signal that does not end it, such as SIGSTOP. */
  signal(name: string, signal: NodeJS.Signals): void {
    const pid = this.running.get(name)?.child?.pid;
    if (pid !== undefined) process.kill(pid, signal);
  }

  /** Kills it, and starts it again only at `release`. */
  hold(name: string): void {
    const running = this.running.get(name)!;
    running.held = true;
    running.child?.kill("SIGKILL");
  }

  release(name: string): void {
    const running = this.running.get(name)!;
    running.held = false;
    if (running.child?.exitCode !== null || running.child.signalCode !== null) running.launch();
  }

  /** Makes it so many instances of a component: starts what is missing, asks to stop what is too many. */
  async scale(id: string, replicas: number): Promise<void> {
    const part = this.parts.find(({ spec }) => spec.id === id)!;
    const before = this.replicas.get(id) ?? part.spec.replicas ?? 1;
    this.replicas.set(id, replicas);
    await this.apply();
    for (let index = before + 1; index <= replicas; index++) await this.startInstance(part, index);
    for (let index = before; index > replicas; index--) {
      const name = `${id}-${index}`;
      await poll(() => this.hasLeft(name));
      const running = this.running.get(name)!;
      this.running.delete(name);
      running.held = true;
      running.child?.kill("SIGTERM");
      this.leaving.push(running);
    }
  }

  /** Whether an instance that was scaled away has handed on what it holds, or never had to. */
  private async hasLeft(instanceId: string): Promise<boolean> {
    try {
      const { draining = [] } = await this.pipeline();
      return !draining.some((one) => one.instanceId === instanceId);
    } catch {
      // The control plane is being started again.
      return false;
    }
  }

  get finished(): boolean {
    return [...this.running].every(([name, running]) => name === "control-plane" || running.exit === 0);
  }

  async pipeline(): Promise<PipelineRecord> {
    return await this.client!.getPipeline(AbortSignal.timeout(5_000));
  }

  async close(options: { readonly keep: boolean }): Promise<void> {
    this.closed = true;
    this.client?.close();
    const all = [...this.running.values(), ...this.leaving];
    for (const running of all) running.child?.kill("SIGKILL");
    await poll(() => all.every(({ child }) => child?.exitCode !== null || child.signalCode !== null));
    await new Promise((done) => this.log.end(done));
    if (options.keep) console.error(`what happened is in ${this.folder}`);
    else await rm(this.folder, { recursive: true, force: true });
  }

  private async boot(): Promise<void> {
    this.grpcPort = await freePort();
    const httpPort = await freePort();
    this.supervise("control-plane", () =>
      this.spawn("control-plane", [join(dist, "control-plane.js")], {
        FLOWCTL_PIPELINE: this.name,
        FLOWCTL_GRPC_LISTEN: `127.0.0.1:${this.grpcPort}`,
        FLOWCTL_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
        FLOWCTL_DATA_DIR: join(this.folder, "data"),
        // The rig starts again what ends, and tells nobody.
      }),
    );
    this.client = connectControlPlane(`127.0.0.1:${this.grpcPort}`);
    await this.apply();
    for (const part of this.parts) {
      for (let index = 1; index <= (part.spec.replicas ?? 1); index++) await this.startInstance(part, index);
    }
  }

  private async apply(): Promise<void> {
    const spec = {
      name: this.name,
      driver: "process",
      components: this.parts.map(({ spec: part }) => {
        const replicas = this.replicas.get(part.id) ?? part.replicas ?? 1;
        return { ...DEFAULTS, ...part, replicas };
      }),
    };
    await poll(async () => {
      try {
        await this.client?.applyPipeline(spec, AbortSignal.timeout(2_000));
        return true;
      } catch {
        return false;
      }
    });
  }

  private async startInstance(part: Part, index: number): Promise<void> {
    const { id, type } = part.spec;
    const replicas = this.replicas.get(id) ?? part.spec.replicas ?? 1;
    const instance = `${id}-${index}`;
    const port = await freePort();
    const healthPort = await freePort();
    const argv = typeof part.run === "string" ? [join(dist, "component.js"), part.run] : part.run;
    this.supervise(instance, () =>
      this.spawn(
        instance,
        argv,
        {
          FLOWCTL_CONTROL_PLANE: `127.0.0.1:${this.grpcPort}`,
          FLOWCTL_PIPELINE: this.name,
          FLOWCTL_COMPONENT_ID: id,
          FLOWCTL_COMPONENT_TYPE: type,
          FLOWCTL_INSTANCE_ID: instance,
          FLOWCTL_INSTANCE_INDEX: String(index),
          FLOWCTL_REPLICAS: String(replicas),
          FLOWCTL_LISTEN: `127.0.0.1:${port}`,
          FLOWCTL_ADVERTISE: `127.0.0.1:${port}`,
          FLOWCTL_HEALTH_PORT: String(healthPort),
          FLOWCTL_CONFIG: JSON.stringify({ ...part.config, ...part.configOf?.(instance) }),
          FLOWCTL_STATE_DIR: join(this.folder, "state", instance),
        },
        part.largestFile?.(),
      ),
    );
  }

  private spawn(
    name: string,
    argv: readonly string[],
    environment: Record<string, string>,
    largestFile?: number,
  ): ChildProcess {
    mkdirSync(join(this.folder, "state"), { recursive: true });
    const limited = `trap '' XFSZ; ulimit -f ${largestFile}; exec "$0" "$@"`;
    const [program, ...args] =
      largestFile === undefined ? [process.execPath, ...argv] : ["bash", "-c", limited, process.execPath, ...argv];
    const child = spawn(program, args, {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) =>
        this.log.write(`${name} ${data.toString().trimEnd().replaceAll("\n", `\n${name} `)}\n`),
      );
    }
    return child;
  }

  /** Whether it was not scaled away. One that comes up only then is refused, and ends; nothing has failed. */
  private isWanted(instance: string): boolean {
    const [, id = instance, index = "0"] = /^(.*)-(\d+)$/.exec(instance) ?? [];
    return Number(index) <= (this.replicas.get(id) ?? Number.POSITIVE_INFINITY);
  }

  private supervise(name: string, start: () => ChildProcess): void {
    const launch = (): void => {
      if (this.closed || running.held) return;
      const child = start();
      running.child = child;
      child.on("exit", (code, signal) => {
        this.log.write(`${name} exited ${code ?? signal}\n`);
        if (code === 0 && name !== "control-plane" && !child.killed) running.exit = 0;
        else if (!this.closed) {
          if (!child.killed && this.isWanted(name)) this.crashes.push(`${name} exited ${code ?? signal}`);
          running.restarts++;
          launch();
        }
      });
    };
    const running: Running = { start, launch, held: false, child: undefined, exit: undefined, restarts: 0 };
    this.running.set(name, running);
    launch();
  }
}

const DEFAULTS = {
  replicas: 1,
  inputs: [],
  consumes: [],
  produces: [],
  partitionBy: "",
  maxRestarts: 1_000_000,
  onError: { action: "fail", to: "", retries: 0, backoffMs: 0 },
} as const;

/** Resolves when the condition holds; the test's own time limit ends it otherwise. */
export async function poll(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
