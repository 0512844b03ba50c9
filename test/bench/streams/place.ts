import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atExit } from "../at-exit.ts";

/** Where a program binds, and how others of the same run reach it. */
export interface Address {
  readonly bind: string;
  readonly dial: string;
}

/** Where the programs of one run live. Made for one run, and disposed of after it. */
export interface Place {
  /** Starts Node.js with a script; its outputs are pipes. */
  start(id: string, nodeArguments: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess;
  /** @param which a program may listen twice: for gRPC (the default) and for HTTP. */
  addressOf(id: string, which?: "grpc" | "http"): Promise<Address>;
  /** `host:port` at which the benchmark itself reaches the control plane once it has started. */
  controlPlaneFromHere(address: Address): Promise<string>;
  /** A folder of the program's own. */
  folderOf(id: string): string;
  /** The process whose use of memory and processors is the program's own; undefined where that is not ours to read. */
  pidOf(child: ChildProcess): number | undefined;
  dispose(): Promise<void>;
}

export type MakePlace = () => Promise<Place>;

/** Processes of this machine, over its loopback, as the process driver runs them. */
export async function makeLocalPlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-bench-state-"));
  let next = randomInt(LOWEST_PORT, HIGHEST_PORT - 1_000);
  const forget = atExit(() => rmSync(folder, { recursive: true, force: true }));
  return {
    start: (_, nodeArguments, environment) =>
      spawn(process.execPath, nodeArguments, {
        env: { ...process.env, ...environment },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    addressOf: async () => {
      const port = await freePort(next);
      next = port + 1;
      const address = `127.0.0.1:${port}`;
      return { bind: address, dial: address };
    },
    controlPlaneFromHere: async ({ dial }) => dial,
    folderOf: (id) => join(folder, id),
    pidOf: (child) => child.pid,
    dispose: async () => {
      await rm(folder, { recursive: true, force: true });
      forget();
    },
  };
}

/** Ports that the system does not give to whoever dials, from a random one on, so that two runs at once rarely meet. */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;

/** A port that nobody listens on, from `lowest` on. */
async function freePort(lowest: number): Promise<number> {
  for (let port = lowest; port < lowest + 1_000; port++) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
  throw new Error(`no port from ${lowest} on is free`);
}
