import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";

/** What the engine is given to log in to a registry with. Never logged. */
export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly serveraddress: string;
}

/** The part of the docker client's `config.json` that is about registries. */
export interface DockerClientConfig {
  readonly auths?: Readonly<Record<string, ClientAuth>>;
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly credsStore?: string;
}

interface ClientAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

/** Asks the credential helper `docker-credential-<helper>` about a server; undefined when it knows none. */
export type CredentialHelper = (
  helper: string,
  server: string,
  signal: AbortSignal,
) => Promise<{ readonly Username: string; readonly Secret: string } | undefined>;

const DOCKER_HUB = "https://index.docker.io/v1/";

/** The registry that an image reference names: `host[:port]`, or Docker Hub's well-known address. */
export function registryOf(reference: string): string {
  const first = reference.split("/")[0] ?? "";
  const named = reference.includes("/") && (/[.:]/.test(first) || first === "localhost");
  return named && first !== "docker.io" ? first : DOCKER_HUB;
}

/** Reads the docker client's configuration; empty when there is none. Throws `docker/bad-config` when it is not JSON. */
export async function readClientConfig(directory: string): Promise<DockerClientConfig> {
  const path = join(directory, "config.json");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch {
    return {};
  }
  try {
    return JSON.parse(text) as DockerClientConfig;
  } catch (cause) {
    throw new FlowctlError({
      code: "docker/bad-config",
      kind: "invalid",
      message: `${path} is not valid JSON`,
      fix: `fix it, or remove it (\`rm ${path}\`) and run \`docker login\` again`,
      cause,
    });
  }
}

/**
 * Credentials for the registry of an image, as the docker client would find them: the helper of that registry, the
 * default helper, then what the configuration holds. Undefined when there are none.
 */
export async function registryCredentials(
  config: DockerClientConfig,
  reference: string,
  signal: AbortSignal,
  ask: CredentialHelper = askHelper,
): Promise<RegistryCredentials | undefined> {
  const server = registryOf(reference);
  const helper = config.credHelpers?.[server] ?? (hasAuth(config, server) ? undefined : config.credsStore);
  if (helper !== undefined) {
    const answer = await ask(helper, server, signal);
    if (answer === undefined) return undefined;
    return answer.Username === "<token>"
      ? { identitytoken: answer.Secret, serveraddress: server }
      : { username: answer.Username, password: answer.Secret, serveraddress: server };
  }
  const entry = authEntry(config, server);
  if (entry?.identitytoken) return { identitytoken: entry.identitytoken, serveraddress: server };
  if (entry?.auth) {
    const decoded = Buffer.from(entry.auth, "base64").toString("utf8");
    const colon = decoded.indexOf(":");
    if (colon < 0) return undefined;
    return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1), serveraddress: server };
  }
  if (entry?.username === undefined) return undefined;
  return { username: entry.username, password: entry.password ?? "", serveraddress: server };
}

function hasAuth(config: DockerClientConfig, server: string): boolean {
  const entry = authEntry(config, server);
  return Boolean(entry?.auth || entry?.identitytoken || entry?.username);
}

/** Keys may be written as a host or as an address. */
function authEntry({ auths = {} }: DockerClientConfig, server: string): ClientAuth | undefined {
  if (auths[server] !== undefined) return auths[server];
  const bare = (key: string): string => key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return Object.entries(auths).find(([key]) => bare(key) === bare(server))?.[1];
}

async function askHelper(
  helper: string,
  server: string,
  signal: AbortSignal,
): Promise<{ Username: string; Secret: string } | undefined> {
  const program = `docker-credential-${helper}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["get"], { stdio: ["pipe", "pipe", "ignore"], signal });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stdin.on("error", () => undefined);
    child.stdin.end(`${server}\n`);
    child.on("error", (cause) =>
      reject(
        new FlowctlError({
          code: "docker/credential-helper",
          kind: "unavailable",
          message: `cannot run the credential helper ${program} for ${server}`,
          fix: `install it, or remove it from the configuration of the docker client`,
          cause,
        }),
      ),
    );
    child.on("close", (code) => {
      // Helpers fail when they know nothing of a server, and only say so in words.
      if (code !== 0) return resolve(undefined);
      try {
        resolve(JSON.parse(Buffer.concat(chunks).toString("utf8")) as { Username: string; Secret: string });
      } catch {
        resolve(undefined);
      }
    });
  });
}
