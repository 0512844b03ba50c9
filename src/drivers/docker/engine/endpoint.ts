import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";

/** Where the Docker engine answers. */
export type EngineEndpoint =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: EngineTls }
  | { readonly kind: "ssh"; readonly host: string; readonly port: number; readonly user: string };

export interface EngineTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const DEFAULT_SOCKET = "/var/run/docker.sock";

/**
 * Finds the engine as the docker command line does: `DOCKER_HOST`, then the context of `DOCKER_CONTEXT` or of the
 * client's configuration, then the default socket. Throws `docker/bad-host` for an address it cannot read and
 * `docker/no-context` for a context that is not there.
 */
export async function resolveEndpoint(
  env: Readonly<Record<string, string | undefined>>,
  configDirectory: string,
): Promise<EngineEndpoint> {
  const certificates = env.DOCKER_CERT_PATH;
  if (env.DOCKER_HOST) {
    const tls = env.DOCKER_TLS_VERIFY && certificates ? await readTls(certificates) : undefined;
    return parseHost(env.DOCKER_HOST, tls);
  }
  const context = env.DOCKER_CONTEXT || (await currentContext(configDirectory));
  if (context === undefined || context === "default") return { kind: "unix", path: DEFAULT_SOCKET };
  const id = createHash("sha256").update(context).digest("hex");
  const meta = await readJson(join(configDirectory, "contexts", "meta", id, "meta.json"));
  const host = (meta as ContextMeta | undefined)?.Endpoints?.docker?.Host;
  if (host === undefined) {
    throw new FlowctlError({
      code: "docker/no-context",
      kind: "not-found",
      message: `the Docker context "${context}" does not exist`,
      fix: "choose one listed by `docker context ls`, or set DOCKER_HOST",
    });
  }
  return parseHost(host, await readTls(join(configDirectory, "contexts", "tls", id, "docker")));
}

/** The endpoint as people write it: `unix:///var/run/docker.sock`. */
export function endpointText(endpoint: EngineEndpoint): string {
  if (endpoint.kind === "unix") return `unix://${endpoint.path}`;
  if (endpoint.kind === "ssh") return `ssh://${endpoint.user}@${endpoint.host}:${endpoint.port}`;
  return `tcp://${endpoint.host}:${endpoint.port}`;
}

/** Reads an address in the form of `DOCKER_HOST`. */
export function parseHost(text: string, tls?: EngineTls): EngineEndpoint {
  if (text.startsWith("unix://")) return { kind: "unix", path: text.slice("unix://".length) || DEFAULT_SOCKET };
  if (text.startsWith("/")) return { kind: "unix", path: text };
  const url = URL.parse?.(text.includes("//") ? text : `tcp://${text}`) ?? tryUrl(text);
  const port = url?.port ? Number(url.port) : undefined;
  if (url?.protocol === "ssh:") {
    return { kind: "ssh", host: url.hostname, port: port ?? 22, user: url.username };
  }
  if (url && ["tcp:", "http:", "https:"].includes(url.protocol) && url.hostname) {
    const secure = tls ?? (url.protocol === "https:" || port === 2376 ? {} : undefined);
    return {
      kind: "tcp",
      host: url.hostname,
      port: port ?? (secure ? 2376 : 2375),
      ...(secure === undefined ? {} : { tls: secure }),
    };
  }
  throw new FlowctlError({
    code: "docker/bad-host",
    kind: "usage",
    message: `invalid Docker engine address "${text}"`,
    fix: "use unix:///path, tcp://host:port or ssh://user@host",
  });
}

function tryUrl(text: string): URL | undefined {
  try {
    return new URL(text.includes("//") ? text : `tcp://${text}`);
  } catch {
    return undefined;
  }
}

interface ContextMeta {
  readonly Endpoints?: { readonly docker?: { readonly Host?: string } };
}

async function currentContext(configDirectory: string): Promise<string | undefined> {
  const config = await readJson(join(configDirectory, "config.json"));
  return (config as { readonly currentContext?: string } | undefined)?.currentContext;
}

async function readTls(directory: string): Promise<EngineTls | undefined> {
  const read = (name: string): Promise<string | undefined> =>
    readFile(join(directory, name), "utf8").catch(() => undefined);
  const [ca, cert, key] = await Promise.all([read("ca.pem"), read("cert.pem"), read("key.pem")]);
  if (ca === undefined && cert === undefined) return undefined;
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

/** A missing or unreadable file of the docker client counts as absent: flowctl works without one. */
async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as unknown;
  } catch {
    return undefined;
  }
}
