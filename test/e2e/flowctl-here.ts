import { Writable } from "node:stream";
import type { CliDependencies, OutputStream } from "../../src/cli/dependencies.ts";
import { runCli } from "../../src/cli/run-cli.ts";
import { connectControlPlane } from "../../src/client/control-plane-client.ts";
import { builtinCatalog } from "../../src/components/catalog.ts";
import { createDockerDriver } from "../../src/drivers/docker/driver.ts";
import type { Driver } from "../../src/drivers/driver.ts";
import { createProcessDriver } from "../../src/drivers/process/driver.ts";
import { flowctlHome } from "../../src/drivers/process/home/paths.ts";
import { homeKey } from "../../src/drivers/process/home/secret-digest.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { packageRoot, packageVersion } from "../../src/foundation/package-root.ts";
import type { DriverName } from "../../src/pipeline/pipeline.ts";
import type { Ended } from "./run-program.ts";

/** So long a command may take before it is interrupted, in milliseconds. */
const PATIENCE_MS = 120_000;

/**
 * Runs a command to its end within this process, against the same engine, processes and control plane: a process of its own takes 0.3 s of
 * a processor to start. What it answers to signals, closed outputs and its own death is shown by tests that start the program.
 */
export async function flowctlHere(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  const said = { stdout: "", stderr: "" };
  const output = (name: keyof typeof said): OutputStream =>
    new Writable({
      decodeStrings: false,
      write: (chunk, _encoding, done) => {
        said[name] += String(chunk);
        done();
      },
    });
  const surroundings = { environment: env, packageRoot: packageRoot(), version: packageVersion() };
  const never = new AbortController().signal;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE_MS);
  const drivers = new Map<DriverName, Driver>();
  const deps: CliDependencies = {
    version: surroundings.version,
    env,
    cwd,
    stdout: output("stdout"),
    stderr: output("stderr"),
    clock: systemClock,
    interrupts: {
      first: late.signal,
      second: never,
      answerSecond: () => () => undefined,
      ignoreOutput: () => undefined,
    },
    driverNames: ["docker", "process"],
    driver: async (name) => {
      const driver = drivers.get(name) ?? driverHere(name, env);
      drivers.set(name, driver);
      return driver;
    },
    connect: async ({ grpc, identity }) => connectControlPlane(grpc, identity),
    catalog: async () => builtinCatalog,
    homeKey: () => homeKey(flowctlHome(env), { readOnly: false }),
    readStdin: () => Promise.reject(new Error("nothing is read here")),
    runBuiltin: () => Promise.reject(new Error("nothing runs here")),
    hasSystemd: () => false,
    packageRoot: surroundings.packageRoot,
  };
  const code = await runCli(args, deps).finally(() => clearTimeout(timer));
  if (late.signal.aborted)
    throw new Error(`flowctl ${args.join(" ")} took longer than ${PATIENCE_MS} ms\n${said.stdout}\n${said.stderr}`);
  return { code, ...said };
}

/** A driver of this process, as the command line has it. */
export function driverHere(name: DriverName, environment: Readonly<Record<string, string | undefined>>): Driver {
  const surroundings = { environment, packageRoot: packageRoot(), version: packageVersion() };
  return name === "docker"
    ? createDockerDriver(surroundings)
    : createProcessDriver({ ...surroundings, clock: systemClock });
}
