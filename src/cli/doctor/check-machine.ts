import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import type { Driver } from "../../drivers/driver.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { CommandContext } from "../command.ts";
import { humanBytes } from "../display/quantities.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const MIB = 1024 * 1024;

/** Free space below which a disk is a warning, and below which it is a problem, in bytes. */
const LITTLE_SPACE = 1024 * MIB;
const NO_SPACE = 100 * MIB;

/** So few files more are a problem. */
const FEW_FILES = 1_000;

/** The oldest Node.js that flowctl is tested with. */
const OLDEST_NODE = [20, 19] as const;

/** What can be said of this machine without looking at any pipeline. Takes some seconds at most; never rejects. */
export async function checkMachine(context: CommandContext): Promise<readonly Finding[]> {
  const { deps } = context;
  const disks: Place[] = [
    { name: "the current folder", path: deps.cwd, own: true },
    { name: "the folder for temporary files", path: tmpdir(), own: true },
    ...(await drivenPlaces(context)),
  ];
  return [
    checkNode(process.versions.node),
    ...(await checkDrivers(context)),
    ...(await Promise.all(disks.map(checkDisk))),
  ];
}

interface Place {
  readonly name: string;
  readonly path: string;
  /** Whether this user has to be able to write there. */
  readonly own: boolean;
}

/** Where the drivers that answer keep what they run. */
async function drivenPlaces({ deps, signal }: CommandContext): Promise<readonly Place[]> {
  const places = await Promise.all(
    deps.driverNames.map(async (name): Promise<readonly Place[]> => {
      const driver = await deps.driver(name);
      if (!(await driver.probe(signal)).available) return [];
      const here = await driver.here?.(signal);
      return here === undefined ? [] : [{ name: `the ${name} driver's folder`, path: here.folder, own: here.own }];
    }),
  );
  return places.flat();
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

/** Looks at the disk of a folder, or of the nearest one above it that is there. */
export async function checkDisk({ name, path, own }: Place): Promise<Finding> {
  const there = await nearest(path);
  try {
    if (own) await access(there, constants.W_OK);
    const { bavail, bsize, files, ffree } = await statfs(there);
    // File systems that make them as they are needed say that there are none at all.
    return judgeDisk(name, path, bavail * bsize, files === 0 ? Number.POSITIVE_INFINITY : ffree);
  } catch (error) {
    return problem("disk", `${name} cannot be written: ${messageOf(error)}`, `Make ${there} writable for this user`);
  }
}

async function nearest(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const missing = await access(folder).then(
      () => false,
      (error: NodeJS.ErrnoException) => error.code === "ENOENT",
    );
    if (!missing || folder === dirname(folder)) return folder;
  }
}

/**
 * @param free Bytes.
 * @param files That can still be made.
 */
export function judgeDisk(name: string, path: string, free: number, files = Number.POSITIVE_INFINITY): Finding {
  if (files < FEW_FILES) {
    return problem(
      "disk",
      `room for only ${files} more files in ${name} (${path})`,
      "Remove files: each buffer, log and position is one",
    );
  }
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
      // Whether somebody else is there can be seen only from outside: an engine may use what this user may not.
      if (why === "EACCES" && !(await answers(host, port))) {
        return ok("ports", `nothing listens on ${host}:${port}, which ${id} publishes`);
      }
      const detail = `${host}:${port}, which ${id} publishes, cannot be used (${why})`;
      return problem("ports", detail, portFix(why, id, host));
    }),
  );
}

function portFix(why: string, id: string, host: string): string {
  if (why === "EADDRNOTAVAIL") return `This machine has no address ${host}: give ${id} another one, or leave it out`;
  return `Stop what uses it (\`ss -ltnp\` shows it), or give ${id} another host port`;
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: host === "0.0.0.0" ? "127.0.0.1" : host, port, timeout: 1_000 });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once("connect", () => end(true))
      .once("error", () => end(false))
      .once("timeout", () => end(false));
  });
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
      const observed = await driver.observe(pipeline, signal).catch((error: unknown) => {
        if (!(error instanceof FlowctlError) || error.kind === "cancelled") throw error;
        const fix = error.fix ?? `See \`flowctl logs -p ${pipeline} control-plane\``;
        findings.push(problem(`pipeline ${pipeline}`, error.message, fix));
        return undefined;
      });
      if (observed === undefined) continue;
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
