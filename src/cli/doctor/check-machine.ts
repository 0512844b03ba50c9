import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { CommandContext } from "../command.ts";
import { checkDisk, type Place, placeOf } from "./disk-space.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

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

/** Where the drivers that answer keep what they run. */
async function drivenPlaces({ deps, signal }: CommandContext): Promise<readonly Place[]> {
  const places = await Promise.all(
    deps.driverNames.map(async (name): Promise<readonly Place[]> => {
      const driver = await deps.driver(name);
      if (!(await driver.probe(signal)).available) return [];
      const place = await placeOf(driver, signal);
      return place === undefined ? [] : [place];
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
      return warning(
        `${name} driver`,
        probe.reason,
        probe.fix ?? `Point DOCKER_HOST at a ${name} engine, or run pipelines with \`--driver process\``,
      );
    }),
  );
  if (findings.some(({ level }) => level === "ok")) return findings;
  return findings.map((finding) => ({ ...finding, level: "problem" as const }));
}

/**
 * Whether the host ports are free that a pipeline publishes, besides those of the components and services that run. Ports that
 * are chosen at start are not looked at.
 */
export async function checkPorts(
  pipeline: Pipeline,
  running: ReadonlySet<string> = new Set(),
): Promise<readonly Finding[]> {
  const parts = [...pipeline.components, ...pipeline.services].filter(({ id }) => !running.has(id));
  const wanted = parts.flatMap(({ id, ports }) =>
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
      return problem("ports", detail, portFix(why, id, host, port));
    }),
  );
}

function portFix(why: string, id: string, host: string, port: number): string {
  if (why === "EADDRNOTAVAIL") return `This machine has no address ${host}: use another one for ${id}, or omit it`;
  return `Stop the program that uses it: \`ss -ltnp 'sport = :${port}'\` shows which. Or use another host port for ${id}`;
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
