import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ControlPlane, startControlPlane } from "../control-plane/control-plane.ts";
import { openLevelStore } from "../control-plane/store/level-store.ts";
import { createMemoryStore } from "../control-plane/store/memory-store.ts";
import type { Store } from "../control-plane/store/store.ts";
import { backoffDelay } from "../foundation/backoff.ts";
import { systemClock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { createLogger, type Logger, type LogLevel } from "../foundation/logger.ts";
import { exitCodeOf } from "../foundation/never-starts.ts";
import { packageRoot, packageVersion } from "../foundation/package-root.ts";
import { openIdentityFolder } from "../identity/identity-folder.ts";
import { sayFatal } from "./say-fatal.ts";

/** What the program reads from its environment. */
interface Settings {
  readonly pipeline: string;
  readonly grpcListen: string;
  readonly httpListen: string;
  readonly dataFolder: string;
  readonly persistence: "leveldb" | "memory";
  /** Folder of the pipeline's identity; empty: it has none, and everybody speaks in the clear. */
  readonly identityFolder: string;
  readonly logLevel: LogLevel;
  readonly metrics: "open" | "token";
  /** `none`: instances are not restarted from here, whatever engine there is. */
  readonly supervisor: "docker" | "none";
}

function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const pipeline = environment.FLOWCTL_PIPELINE ?? "";
  if (pipeline === "") {
    throw new FlowctlError({
      code: "control-plane/no-pipeline-name",
      kind: "usage",
      message: "FLOWCTL_PIPELINE is not set",
      fix: "Set it to the name of the pipeline.",
    });
  }
  return {
    pipeline,
    grpcListen: environment.FLOWCTL_GRPC_LISTEN || "0.0.0.0:8080",
    httpListen: environment.FLOWCTL_HTTP_LISTEN || "0.0.0.0:8081",
    dataFolder: environment.FLOWCTL_DATA_DIR || "/var/lib/flowctl",
    identityFolder: environment.FLOWCTL_IDENTITY_DIR || "",
    persistence: oneOf("FLOWCTL_PERSISTENCE", environment.FLOWCTL_PERSISTENCE || "leveldb", ["leveldb", "memory"]),
    supervisor: oneOf("FLOWCTL_SUPERVISE_BY", environment.FLOWCTL_SUPERVISE_BY || "docker", ["docker", "none"]),
    metrics: oneOf("FLOWCTL_METRICS", environment.FLOWCTL_METRICS || "open", ["open", "token"]),
    logLevel: oneOf("FLOWCTL_LOG_LEVEL", environment.FLOWCTL_LOG_LEVEL || "info", ["debug", "info", "warn", "error"]),
  };
}

function oneOf<T extends string>(variable: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((other) => other === value);
  if (found !== undefined) return found;
  throw new FlowctlError({
    code: "control-plane/wrong-setting",
    kind: "usage",
    message: `${variable} is "${value}"`,
    fix: `Set it to one of ${allowed.join(", ")}.`,
  });
}

function openStore(settings: Settings): Promise<Store> | Store {
  return settings.persistence === "memory"
    ? createMemoryStore()
    : openLevelStore(join(settings.dataFolder, "control-plane"));
}

async function serve(settings: Settings, log: Logger): Promise<void> {
  const { pipeline, identityFolder } = settings;
  const identity = identityFolder === "" ? undefined : await openIdentityFolder(identityFolder, pipeline);
  const store = await openStore(settings);
  const controlPlane: ControlPlane = await startControlPlane({
    pipeline,
    ...(identity === undefined ? {} : { identity }),
    grpcListen: settings.grpcListen,
    httpListen: settings.httpListen,
    protectMetrics: settings.metrics === "token",
    store,
    clock: systemClock,
    log,
  }).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const stopping = new AbortController();
  const told = new Promise<undefined>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve(undefined));
  });
  if (settings.supervisor === "docker" && (process.env.DOCKER_HOST !== undefined || existsSync(dockerSocket))) {
    void superviseByDocker(controlPlane, log, stopping.signal);
  }
  const failure = await Promise.race([told, controlPlane.failure]);
  stopping.abort();
  await controlPlane.close();
  if (failure !== undefined) throw failure;
}

/** Where the engine's socket is mounted for the supervisor; without it Docker's own restart policy is all there is. */
const dockerSocket = "/var/run/docker.sock";

/**
 * Begins as soon as the engine answers: after a restart of the machine or of the engine containers run again before it does.
 */
async function superviseByDocker(controlPlane: ControlPlane, log: Logger, signal: AbortSignal): Promise<void> {
  try {
    // Loaded only where it is needed: it is a good part of the program's memory.
    const { createDockerDriver } = await import("../drivers/docker/driver.ts");
    const installation = { packageRoot: packageRoot(), version: packageVersion() };
    const driver = createDockerDriver({ environment: process.env, ...installation });
    let said = "";
    for (let attempt = 1; !signal.aborted; attempt++) {
      const probe = await driver.probe(signal);
      if (probe.available) return controlPlane.supervise(driver);
      if (probe.reason !== said) {
        log.warn("the Docker engine is unreachable; failed instances are not restarted until it is back", {
          reason: probe.reason,
        });
        said = probe.reason;
      }
      await systemClock.sleep(backoffDelay(attempt, { initialMs: 500, maxMs: 10_000 }), signal);
    }
  } catch (error) {
    if (signal.aborted) return;
    // Registry and topology serve without it; containers that exit are restarted by Docker itself.
    log.error("the Docker driver failed; unresponsive instances are not restarted", { err: error });
  }
}

/** The control plane of one pipeline as a program of its own, which is how the Docker driver runs it. */
async function main(): Promise<number> {
  const fallback = createLogger({ level: "info", name: "control-plane" });
  try {
    const settings = readSettings(process.env);
    await serve(settings, createLogger({ level: settings.logLevel, name: "control-plane" }));
    return 0;
  } catch (error) {
    sayFatal(error, "the control plane", fallback);
    return exitCodeOf(error);
  }
}

void main().then((code) => process.exit(code));
