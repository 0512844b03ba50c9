import { setMaxListeners } from "node:events";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import Dockerode from "dockerode";
import { cancelled } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode, messageOf } from "../../../foundation/errors.ts";
import { type EngineEndpoint, endpointText, resolveEndpoint } from "./endpoint.ts";
import { SshAgent } from "./ssh-agent.ts";
import { Tunnels } from "./tunnel.ts";

/** A connection to one Docker engine. Stays inside this folder, as do the types of its client. */
export interface Engine {
  readonly docker: Dockerode;
  readonly endpoint: EngineEndpoint;
  /** Whether host paths and published ports of the engine are those of this machine. */
  readonly local: boolean;
  /** The way to ports in containers where they are not. */
  readonly tunnels: Tunnels;
  /**
   * Runs one request. What the client throws becomes a FlowctlError: `docker/not-modified`, `docker/not-found`,
   * `docker/conflict`, `docker/unreachable`, `docker/denied`, `docker/refused`, or kind `cancelled` by the signal.
   */
  call<T>(what: string, signal: AbortSignal, request: (docker: Dockerode) => Promise<T>): Promise<T>;
}

/** What is said of an address at which something else answers. */
const NO_ENGINE = "is not a Docker engine";

/** Where the engine of a machine is unless somebody says otherwise. */
const USUAL = "unix:///var/run/docker.sock";

/** Opens no connection yet; throws only for an address that cannot be read. */
export async function connectEngine(env: Readonly<Record<string, string | undefined>>): Promise<Engine> {
  const endpoint = await resolveEndpoint(env, dockerConfigDirectory(env));
  const docker = new Dockerode(clientOptions(endpoint, env));
  return {
    docker,
    endpoint,
    local: endpoint.kind === "unix",
    tunnels: new Tunnels(docker),
    async call(what, signal, request) {
      if (signal.aborted) throw cancelled(signal);
      // Many requests at once wait on one signal, and that is no leak.
      setMaxListeners(0, signal);
      const aborted = abortion(signal);
      const asked = request(docker);
      try {
        return await Promise.race([asked, aborted.promise]);
      } catch (error) {
        // A stream that comes when nobody waits for it any more would keep its connection, and with it this program.
        void asked.then(
          (late) => (late as Partial<Readable> | undefined)?.destroy?.(),
          () => undefined,
        );
        throw engineError(error, what, endpoint, signal);
      } finally {
        aborted.release();
      }
    },
  };
}

/** What the client takes and its types leave out. */
interface Asking {
  version(options: { readonly abortSignal: AbortSignal }): Promise<Dockerode.DockerVersion>;
  info(options: { readonly abortSignal: AbortSignal }): Promise<EngineInfo>;
}

export interface EngineInfo {
  readonly SecurityOptions?: readonly string[];
  /** Where its containers, images and volumes are. */
  readonly DockerRootDir?: string;
}

export async function engineVersion(engine: Engine, signal: AbortSignal): Promise<Dockerode.DockerVersion> {
  const what = `${endpointText(engine.endpoint)} ${NO_ENGINE}`;
  return engine.call(what, signal, (docker) => (docker as unknown as Asking).version({ abortSignal: signal }));
}

export async function engineInfo(engine: Engine, signal: AbortSignal): Promise<EngineInfo> {
  return engine.call("query the engine", signal, (docker) =>
    (docker as unknown as Asking).info({ abortSignal: signal }),
  );
}

/** Not every request of the client can be ended by a signal: whoever waits for it goes on nevertheless. */
function abortion(signal: AbortSignal): { readonly promise: Promise<never>; release(): void } {
  let onAbort: () => void = () => undefined;
  const promise = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelled(signal));
    signal.addEventListener("abort", onAbort, { once: true });
  });
  return { promise, release: () => signal.removeEventListener("abort", onAbort) };
}

/** Where the docker client keeps its configuration. */
export function dockerConfigDirectory(env: Readonly<Record<string, string | undefined>>): string {
  return env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker");
}

/** Says what an error of the engine or of the way to it means. */
export function engineError(
  error: unknown,
  what: string,
  endpoint: EngineEndpoint,
  signal?: AbortSignal,
): FlowctlError {
  if (error instanceof FlowctlError) return error;
  if (signal?.aborted) return cancelled(signal);
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  const said = withShortIds(engineMessage(error));
  if (statusCode !== undefined) {
    const [name, kind] = STATUS[statusCode] ?? (["docker/refused", "failed"] as const);
    const fix = what.endsWith(NO_ENGINE) ? { fix: otherEngine(endpoint) } : {};
    return new FlowctlError({ code: name, kind, message: `${withShortIds(what)}: ${said}`, ...fix, cause: error });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new FlowctlError({
      code: "docker/denied",
      kind: "denied",
      message: `permission denied: cannot access the Docker engine at ${endpointText(endpoint)}`,
      fix: "add your user to the docker group (`sudo usermod -aG docker $USER`, then log in again)",
      cause: error,
    });
  }
  return new FlowctlError({
    code: "docker/unreachable",
    kind: "unavailable",
    message: `cannot connect to the Docker engine at ${endpointText(endpoint)} (${code ?? said})`,
    fix:
      endpoint.kind === "ssh"
        ? `check that \`ssh ${endpoint.user === "" ? "" : `${endpoint.user}@`}${endpoint.host}${endpoint.port === 22 ? "" : ` -p ${endpoint.port}`} docker version\` works without a prompt`
        : otherEngine(endpoint),
    cause: error,
  });
}

function otherEngine(endpoint: EngineEndpoint): string {
  const start = "start Docker (`sudo systemctl start docker`)";
  if (endpointText(endpoint) === USUAL) return start;
  return `${start}, or use the local engine (\`unset DOCKER_HOST DOCKER_CONTEXT\`)`;
}

const STATUS: Readonly<Record<number, readonly [code: string, kind: FlowctlError["kind"]]>> = {
  304: ["docker/not-modified", "conflict"],
  400: ["docker/refused", "invalid"],
  401: ["docker/denied", "denied"],
  403: ["docker/forbidden", "conflict"],
  404: ["docker/not-found", "not-found"],
  409: ["docker/conflict", "conflict"],
};

/** Ids as the docker command line shows them: nobody reads 64 digits. */
function withShortIds(text: string): string {
  return text.replace(/\b[0-9a-f]{64}\b/g, (id) => id.slice(0, 12));
}

function engineMessage(error: unknown): string {
  const said = (error as { json?: { message?: unknown } }).json?.message;
  return typeof said === "string" ? said.trim() : messageOf(error).trim();
}

function clientOptions(
  endpoint: EngineEndpoint,
  env: Readonly<Record<string, string | undefined>>,
): Dockerode.DockerOptions {
  // The client merges DOCKER_HOST of the process under its options, so every option that it knows is given.
  const none = { host: undefined, port: undefined, socketPath: undefined, protocol: undefined } as object;
  if (endpoint.kind === "unix") return { ...none, socketPath: endpoint.path };
  // The agent connects, and not to a host of a name.
  if (endpoint.kind === "ssh") return { ...none, host: "engine", agent: new SshAgent(endpoint, env) } as object;
  const { tls } = endpoint;
  return { ...none, protocol: tls ? "https" : "http", host: endpoint.host, port: endpoint.port, ...tls };
}

/** Awaits a request that may find what it wants gone or done already; such an answer is success and gives undefined. */
export async function unlessCode<T>(request: Promise<T>, ...codes: readonly string[]): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (codes.some((code) => hasCode(error, code))) return undefined;
    throw error;
  }
}
