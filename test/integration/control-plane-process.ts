import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { freePort } from "../free-port.ts";

const root = resolve(import.meta.dirname, "../..");

/** The control plane of dist/ in a process of its own, on a LevelDB in a folder of its own, at addresses that stay the same. */
export interface ControlPlaneProcess extends AsyncDisposable {
  readonly grpc: string;
  readonly http: string;
  readonly dataFolder: string;
  readonly pid: number;
  /** Everything that it wrote to standard error so far. */
  readonly log: string;
  /** Resolves when it answers. */
  start(): Promise<void>;
  /** Resolves when it is gone. */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<number | null>;
}

export async function controlPlaneProcess(
  pipeline: string,
  extraEnvironment: Readonly<Record<string, string>> = {},
): Promise<ControlPlaneProcess> {
  const dataFolder = await mkdtemp(join(tmpdir(), "flowctl-control-plane-"));
  const [grpc, http] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  let child: ChildProcess | undefined;
  let log = "";
  const kill = async (signal: "SIGKILL" | "SIGTERM"): Promise<number | null> => {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null) return ending?.exitCode ?? null;
    const gone = new Promise<number | null>((resolve) => ending.once("exit", (code) => resolve(code)));
    ending.kill(signal);
    return gone;
  };
  return {
    grpc,
    http,
    dataFolder,
    get pid() {
      return child?.pid ?? 0;
    },
    get log() {
      return log;
    },
    async start() {
      const started = spawn(process.execPath, [join(root, "dist/control-plane.js")], {
        cwd: root,
        env: {
          PATH: process.env.PATH ?? "",
          FLOWCTL_PIPELINE: pipeline,
          FLOWCTL_GRPC_LISTEN: grpc,
          FLOWCTL_HTTP_LISTEN: http,
          FLOWCTL_DATA_DIR: dataFolder,
          ...extraEnvironment,
        },
        stdio: ["ignore", "ignore", "pipe"],
      });
      child = started;
      started.stderr?.on("data", (chunk) => {
        log += String(chunk);
      });
      await until(async () => {
        if (started.exitCode !== null) throw new Error(`the control plane ended:\n${log}`);
        const client = connectControlPlane(grpc);
        try {
          await client.getPipeline(AbortSignal.timeout(1000));
          return true;
        } catch {
          return false;
        } finally {
          client.close();
        }
      });
    },
    kill,
    async [Symbol.asyncDispose]() {
      await kill("SIGKILL");
      await rm(dataFolder, { recursive: true, force: true });
    },
  };
}

/** Polls until `condition` gives true; what it throws fails at once. */
export async function until(condition: () => Promise<boolean> | boolean, timeoutMs = 60_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`it did not come true within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
