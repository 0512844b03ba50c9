import { connectEngine } from "../drivers/docker/engine/engine.ts";
import { createEngineAccess } from "../drivers/docker/engine-access/engine-access.ts";
import { serveEngineAccess } from "../drivers/docker/engine-access/engine-access-server.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { createLogger } from "../foundation/logger.ts";
import { sayFatal } from "./say-fatal.ts";

/** Where the engine's socket is mounted, here and in no other container of flowctl. */
const ENGINE = "unix:///var/run/docker.sock";

/**
 * What stands between the control plane of one pipeline and the engine, as a program of its own in a container without a network: see
 * `createEngineAccess`. Begins whether the engine answers or not.
 */
async function main(): Promise<number> {
  const log = createLogger({ level: "info", name: "engine-access" });
  const die = (error: unknown): void => {
    sayFatal(error, "the engine access", log);
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
  try {
    const engine = await connectEngine({ DOCKER_HOST: ENGINE });
    const access = createEngineAccess(engine, required("FLOWCTL_PIPELINE"));
    const server = await serveEngineAccess(required("FLOWCTL_ENGINE_ACCESS"), access);
    log.info("engine access ready");
    await stopped;
    await server.close();
    return 0;
  } catch (error) {
    sayFatal(error, "the engine access", log);
    return 1;
  }
}

function required(variable: string): string {
  const value = process.env[variable];
  if (value) return value;
  throw new FlowctlError({
    code: "docker/no-setting",
    kind: "usage",
    message: `${variable} is not set`,
    fix: "Run `flowctl up`, which starts this program",
  });
}

void main().then((code) => process.exit(code));
