import { readFileSync } from "node:fs";
import { join } from "node:path";
import { startControlPlane } from "../control-plane/control-plane.ts";
import { openLevelStore } from "../control-plane/store/level-store.ts";
import { createMemoryStore } from "../control-plane/store/memory-store.ts";
import {
  type ControlPlaneSettings,
  type HostedControlPlane,
  runSupervisor,
} from "../drivers/process/supervisor/supervisor.ts";
import type { SupervisorLaunch } from "../drivers/process/supervisor/supervisor-launch.ts";
import { systemClock } from "../foundation/clock.ts";
import { createLogger, type Logger } from "../foundation/logger.ts";
import { packageRoot } from "../foundation/package-root.ts";
import { sayFatal } from "./say-fatal.ts";

/**
 * The background process of the process driver, started by it and by nobody else: hosts the control plane of one
 * pipeline and supervises its child processes. Reads what it is to do from `FLOWCTL_SUPERVISOR`.
 */
async function main(): Promise<number> {
  const launch = JSON.parse(process.env.FLOWCTL_SUPERVISOR ?? "null") as SupervisorLaunch | null;
  if (launch === null) {
    process.stderr.write("This program is started by flowctl; run `flowctl up` instead\n");
    return 2;
  }
  const log = createLogger({ level: launch.spec.logLevel, name: "supervisor" });
  const stop = new AbortController();
  process.on("SIGTERM", () => stop.abort());
  process.on("SIGINT", () => stop.abort());
  // The terminal that it was started from may go.
  process.on("SIGHUP", () => undefined);
  // What it supervises goes on; its watcher becomes another supervisor, which takes over.
  const die = (error: unknown): void => {
    sayFatal(error, "the supervisor", log);
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  return runSupervisor({
    program: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    launch,
    version: version(),
    environment: process.env,
    clock: systemClock,
    log,
    signal: stop.signal,
    startControlPlane: (settings) => hostControlPlane(settings, log, die),
  });
}

async function hostControlPlane(
  settings: ControlPlaneSettings,
  log: Logger,
  onFailure: (error: unknown) => void,
): Promise<HostedControlPlane> {
  const { pipeline, grpcListen, httpListen, dataFolder, identity, protectMetrics } = settings;
  const store = dataFolder === undefined ? createMemoryStore() : await openLevelStore(dataFolder);
  const controlPlane = await startControlPlane({
    pipeline,
    ...(identity === undefined ? {} : { identity }),
    grpcListen,
    httpListen,
    protectMetrics,
    store,
    clock: systemClock,
    log,
  }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  void controlPlane.failure.then(onFailure);
  return {
    supervise: (driver) => controlPlane.supervise(driver),
    halt: () => controlPlane.halt(),
    close: () => controlPlane.close(),
  };
}

function version(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as { version: string };
  return manifest.version;
}

void main().then((code) => process.exit(code));
