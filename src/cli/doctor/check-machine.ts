import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import type { Driver } from "../../drivers/driver.ts";
import { messageOf } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { CommandContext } from "../command.ts";
import { humanBytes } from "../display/quantities.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const MIB = 1024 * 1024;

/** Free space below which a disk is a warning, and below which it is a problem, in bytes. */
const LITTLE_SPACE = 1024 * MIB;
const NO_SPACE = 100 * MIB;

/** The oldest Node.js that flowctl is tested with. */
const OLDEST_NODE = [20, 19] as const;

/** What can be said of this machine without looking at any pipeline. Takes some seconds at most; never rejects. */
export async function checkMachine(context: CommandContext): Promise<readonly Finding[]> {
  const { deps } = context;
  const disks = new Map([
    ["the current folder", deps.cwd],
    ["the folder for temporary files", tmpdir()],
  ]);
  return [
    checkNode(process.versions.node),
    ...(await checkDrivers(context)),
    ...(await Promise.all([...disks].map(([name, path]) => checkDisk(name, path)))),
  ];
}

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [needed, neededMinor] = OLDEST_NODE;
  if (major > needed || (major === needed && minor >= neededMinor)) return ok("node", `Node.js ${version}`);
  const fix = `Install Node.js ${needed}.${neededMinor} or newer`;
  return problem("node", `Node.js ${version} is too old`, fix);
}

async function checkDrivers({ deps, signal }: CommandContext): Promise<readonly Finding[]> {
  const findings = await Promise.all(
    deps.driverNames.map(async (name): Promise<Finding> => {
      const probe = await (await deps.driver(name)).probe(signal);
      if (probe.available) return ok(`${name} driver`, probe.detail);
      return warning(`${name} driver`, probe.reason, probe.fix ?? "Start its engine");
    }),
  );
  if (findings.some(({ level }) => level === "ok")) return findings;
  return findings.map((finding) => ({ ...finding, level: "problem" as const }));
}

async function checkDisk(name: string, path: string): Promise<Finding> {
  try {
    await access(path, constants.W_OK);
    const { bavail, bsize } = await statfs(path);
    return judgeDisk(name, path, bavail * bsize);
  } catch (error) {
    return problem("disk", `${name} cannot be written: ${messageOf(error)}`, `Make ${path} writable for this user`);
  }
}

/** @param free Bytes. */
export function judgeDisk(name: string, path: string, free: number): Finding {
  const detail = `${humanBytes(free)} free in ${name} (${path})`;
  if (free < NO_SPACE) return problem("disk", detail, "Free some space: buffers, logs and stored positions need it");
  if (free < LITTLE_SPACE) return warning("disk", detail, "Free some space before a buffer on disk fills it");
  return ok("disk", detail);
}

/**
 * Whether the host ports that a pipeline publishes are free. For a pipeline that does not run; ports that are chosen at
 * start are not looked at.
 */
export async function checkPorts(pipeline: Pipeline): Promise<readonly Finding[]> {
  const wanted = [...pipeline.components, ...pipeline.services].flatMap(({ id, ports }) =>
    ports.flatMap(({ hostIp, published, protocol }) =>
      published === undefined || protocol === "udp" ? [] : [{ id, host: hostIp, port: published }],
    ),
  );
  return await Promise.all(
    wanted.map(async ({ id, host, port }): Promise<Finding> => {
      const why = await whyNotFree(host, port);
      if (why === undefined) return ok("ports", `${host}:${port} is free for ${id}`);
      const detail = `${host}:${port}, which ${id} publishes, cannot be used (${why})`;
      return problem("ports", detail, `Stop what uses it (\`ss -ltnp\` shows it), or give ${id} another host port`);
    }),
  );
}

function whyNotFree(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/** What exists on the drivers and belongs to nothing that runs. */
export async function checkLeftovers(drivers: readonly Driver[], signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const driver of drivers) {
    for (const pipeline of await driver.pipelines(signal)) {
      const observed = await driver.observe(pipeline, signal);
      const runs = observed.filter(
        ({ kind, state }) => kind !== "network" && kind !== "volume" && state.status === "running",
      );
      const controlled = runs.some(({ kind }) => kind === "control-plane");
      const fix = `Continue with \`flowctl up\` in its folder, or remove it with \`flowctl down -p ${pipeline} --driver ${driver.name}\``;
      if (runs.length > 0 && !controlled) {
        const names = runs.map(({ name }) => name).join(", ");
        findings.push(problem(`pipeline ${pipeline}`, `runs on ${driver.name} without a control plane: ${names}`, fix));
      } else if (runs.length === 0 && observed.some(({ kind }) => kind === "component" || kind === "service")) {
        findings.push(warning(`pipeline ${pipeline}`, `exists on ${driver.name}, and nothing of it runs`, fix));
      } else if (runs.length === 0) {
        findings.push(
          warning(`pipeline ${pipeline}`, `has left its stored state on ${driver.name}`, removal(pipeline, driver)),
        );
      } else findings.push(ok(`pipeline ${pipeline}`, `runs on ${driver.name}`));
    }
  }
  return findings;
}

function removal(pipeline: string, driver: Driver): string {
  return `Keep it for the next \`flowctl up\`, or remove it with \`flowctl down -v -p ${pipeline} --driver ${driver.name}\``;
}
