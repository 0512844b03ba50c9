import { type ChildProcess, spawn } from "node:child_process";
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
  const forget = atExit(() => rmSync(folder, { recursive: true, force: true }));
  return {
    start: (_, nodeArguments, environment) =>
      spawn(process.execPath, nodeArguments, {
        env: { ...process.env, ...environment },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    addressOf: async () => {
      const address = `127.0.0.1:${await freePort()}`;
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
