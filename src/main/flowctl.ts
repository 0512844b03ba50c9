import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { addAbortSignal } from "node:stream";
import { text } from "node:stream/consumers";
import type { CliDependencies, Interrupts } from "../cli/dependencies.ts";
import { ExitCode, exitCodeOf, OUTPUT_CLOSED } from "../cli/exit-codes.ts";
import { asksForJson, failureText, runCli } from "../cli/run-cli.ts";
import type { Driver } from "../drivers/driver.ts";
import { systemClock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { packageRoot } from "../foundation/package-root.ts";
import type { DriverName } from "../pipeline/pipeline.ts";

const args = process.argv.slice(2);
const root = packageRoot();
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string };

/** Signals and closed pipes as interrupts of the running command; the third interrupt ends the process. */
function listenForInterrupts(): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  let answering = 0;
  let isOutputIgnored = false;
  const interrupt = (): void => {
    if (!first.signal.aborted) {
      first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
    } else if (!second.signal.aborted && answering > 0) second.abort();
    else process.exit(ExitCode.interrupted);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  const closed = new FlowctlError({ code: OUTPUT_CLOSED, kind: "cancelled", message: "the output was closed" });
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      // EIO: the terminal has gone.
      const hasGone = error.code === "EPIPE" || error.code === "EIO";
      const failure = hasGone ? closed : unwritable(error);
      if (!isOutputIgnored) first.abort(failure);
      if (hasGone) return;
      // A command that was done before the failure was noticed, or that ignores it, has not said so.
      process.once("exit", (code) => {
        if (code !== ExitCode.ok) return;
        process.exitCode = exitCodeOf(failure);
        if (stream === process.stdout)
          process.stderr.write(failureText(failure, deps, { json: asksForJson(args, deps.env) }));
      });
    });
  }
  return {
    first: first.signal,
    second: second.signal,
    answerSecond: () => {
      answering++;
      return () => {
        answering--;
      };
    },
    ignoreOutput: () => {
      isOutputIgnored = true;
    },
  };
}

/** What is printed is the result: where it cannot be written, as on a full disk, the command has failed. */
function unwritable(cause: NodeJS.ErrnoException): FlowctlError {
  return new FlowctlError({
    code: "cli/output-unwritable",
    kind: "failed",
    message: `Cannot write the output: ${cause.message}`,
    fix: "Free disk space, or redirect the output elsewhere",
    cause,
  });
}

/** Drivers are loaded when first asked for: `flowctl validate` loads none. */
function lazyDrivers(): (name: DriverName) => Promise<Driver> {
  const made = new Map<DriverName, Promise<Driver>>();
  return (name) => {
    const known = made.get(name) ?? makeDriver(name);
    made.set(name, known);
    return known;
  };
}

async function makeDriver(name: DriverName): Promise<Driver> {
  switch (name) {
    case "docker": {
      const { createDockerDriver } = await import("../drivers/docker/driver.ts");
      return createDockerDriver({ environment: process.env, packageRoot: root, version });
    }
    case "process": {
      const { createProcessDriver } = await import("../drivers/process/driver.ts");
      return createProcessDriver({ environment: process.env, packageRoot: root, version, clock: systemClock });
    }
    default:
      throw new FlowctlError({
        code: "cli/driver-unavailable",
        kind: "unavailable",
        message: `The ${name} driver is not available in this version of flowctl`,
        fix: "Use docker or process",
      });
  }
}

/** Rejects with the reason of `signal` when that fires while nothing comes; what is read then no longer keeps the process. */
async function readStdin(signal: AbortSignal): Promise<string> {
  try {
    return await text(addAbortSignal(signal, process.stdin));
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

const interrupts = listenForInterrupts();

const deps: CliDependencies = {
  version,
  env: process.env,
  cwd: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  interrupts,
  driverNames: ["docker", "process"],
  driver: lazyDrivers(),
  connect: async ({ grpc, identity }) =>
    (await import("../client/control-plane-client.ts")).connectControlPlane(grpc, identity),
  catalog: async () => (await import("../components/catalog.ts")).builtinCatalog,
  homeKey: async () => {
    const { flowctlHome } = await import("../drivers/process/home/paths.ts");
    const { homeKey } = await import("../drivers/process/home/secret-digest.ts");
    const home = flowctlHome(process.env);
    return homeKey(home, { readOnly: false }).catch((cause: unknown) => {
      throw FlowctlError.wrap(cause, {
        code: "cli/no-home",
        kind: "unavailable",
        message: `Cannot write to ${home}`,
        fix: "Set FLOWCTL_HOME to a writable folder",
      });
    });
  },
  readStdin: () => readStdin(interrupts.first),
  runBuiltin: async (type, name) => {
    const { loadBuiltin } = await import("../components/load-builtin.ts");
    const { run } = await import("../sdk/index.ts");
    await run(await loadBuiltin(type, name));
  },
  hasSystemd: () => existsSync("/run/systemd/system"),
  packageRoot: root,
};

let hungUp = false;
process.on("SIGHUP", () => {
  hungUp = true;
});
void runCli(args, deps).then((code) => {
  process.exitCode = code;
  if (hungUp && [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)) {
    // Node.js aborts at its exit when it cannot restore a terminal that has gone.
    process.removeAllListeners("SIGHUP");
    process.kill(process.pid, "SIGHUP");
  }
});
