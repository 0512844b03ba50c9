import { join } from "node:path";
import { type ControlPlane, startControlPlane } from "../control-plane/control-plane.ts";
import { openLevelStore } from "../control-plane/store/level-store.ts";
import { createMemoryStore } from "../control-plane/store/memory-store.ts";
import type { Store } from "../control-plane/store/store.ts";
import { type EngineAccessDriver, engineAccessDriver } from "../drivers/docker/engine-access/engine-access-client.ts";
import { backoffDelay } from "../foundation/backoff.ts";
import { systemClock } from "../foundation/clock.ts";
import { FlowctlError, messageOf } from "../foundation/errors.ts";
import { createLogger, type Logger, type LogLevel } from "../foundation/logger.ts";
import { exitCodeOf } from "../foundation/never-starts.ts";
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
  /** Seconds that a working certificate is good for; undefined: as long as is usual. For looking at renewals. */
  readonly certificateSeconds: number | undefined;
  readonly logLevel: LogLevel;
  /** Socket of the pipeline's engine access; empty: instances are not restarted from here. */
  readonly engineAccess: string;
  readonly metrics: "open" | "token";
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
    certificateSeconds: Number(environment.FLOWCTL_CERTIFICATE_SECONDS) || undefined,
    persistence: oneOf("FLOWCTL_PERSISTENCE", environment.FLOWCTL_PERSISTENCE || "leveldb", ["leveldb", "memory"]),
    engineAccess: environment.FLOWCTL_ENGINE_ACCESS || "",
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
  const { pipeline, identityFolder, certificateSeconds } = settings;
  const identity = identityFolder === "" ? undefined : await openIdentityFolder(identityFolder, pipeline);
  const life = certificateSeconds === undefined ? {} : { workingLifeMs: certificateSeconds * 1_000 };
  const store = await openStore(settings);
  const controlPlane: ControlPlane = await startControlPlane({
    pipeline,
    ...(identity === undefined ? {} : { identity: { ...identity, ...life } }),
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
  if (settings.engineAccess !== "") {
    void superviseBy(engineAccessDriver(settings.engineAccess), controlPlane, log, stopping.signal);
  }
  const failure = await Promise.race([told, controlPlane.failure]);
  stopping.abort();
  await controlPlane.close();
  if (failure !== undefined) throw failure;
}

/**
 * Begins as soon as the engine can be reached: after a restart of the machine or of the engine containers run again before it answers,
 * and the engine access may be started after this program.
 */
async function superviseBy(
  driver: EngineAccessDriver,
  controlPlane: ControlPlane,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await driver.observe("", signal);
        if (attempt > SAID_AT_ATTEMPT) log.info("the Docker engine answers");
        return controlPlane.supervise(driver);
      } catch (error) {
        // It is often started a moment after this program.
        if (attempt === SAID_AT_ATTEMPT) {
          log.warn("cannot reach the Docker engine; failed instances are not restarted until it is back", {
            driver_error: messageOf(error),
          });
        }
      }
      await systemClock.sleep(backoffDelay(attempt, { initialMs: 100, maxMs: 10_000 }), signal);
    }
  } catch (error) {
    if (signal.aborted) return;
    // Registry and topology serve without it; containers that exit are restarted by Docker itself.
    log.error("supervision failed; unresponsive instances are not restarted", { err: error });
  }
}

/** About three seconds after the first. */
const SAID_AT_ATTEMPT = 6;

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
