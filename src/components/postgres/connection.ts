import { readFile } from "node:fs/promises";
import type { Client, ClientConfig } from "pg";
import { fileFailure } from "../../foundation/file-failure.ts";
import { FlowctlError, type Logger } from "../../sdk/index.ts";
import { durationMs } from "../duration.ts";
import { type ConnectionConfig, databaseUrl } from "./connection.spec.ts";
import { postgresFailure } from "./failure.ts";

export interface ConnectionOptions {
  readonly config: ConnectionConfig;
  /** Shown by the database for its sessions (`application_name`). */
  readonly name: string;
  readonly secret: (name: string) => Promise<string>;
  readonly log: Logger;
  /** Run on each new connection. */
  readonly onConnect?: (client: Client) => Promise<unknown>;
}

/** One connection to a database, made anew after it broke. Calls must not overlap. */
export class PostgresConnection {
  readonly #options: ConnectionOptions;
  #client: Client | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** A connected client: the one there is, or another one. Rejects with what `postgresFailure` makes of the failure. */
  async client(): Promise<Client> {
    if (this.#client !== undefined) return this.#client;
    const { log } = this.#options;
    const [{ pg }, settings] = await Promise.all([import("../clients/postgres.ts"), clientConfig(this.#options)]);
    const client = new pg.Client(settings);
    client.on("error", (error) => {
      // Nobody waits for an answer: the next who needs a connection gets another one.
      if (this.#client === client) this.#client = undefined;
      log.warn("the connection to PostgreSQL broke", { reason: error.message });
    });
    client.on("notice", ({ message }) => log.debug("PostgreSQL says", { message }));
    try {
      await client.connect();
      await this.#options.onConnect?.(client);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw postgresFailure(error, `connect to ${shownTarget(settings)}`);
    }
    this.#client = client;
    return client;
  }

  /** Ends the connection, whatever it does: after a failure nobody knows what state it is in. */
  async reset(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.reset();
  }
}

/** Whom the settings name, without secrets. */
function shownTarget({ host, port, database, user }: ClientConfig): string {
  return `PostgreSQL database ${database} at ${host}:${port} as ${user}`;
}

async function clientConfig({ config, name, secret }: ConnectionOptions): Promise<ClientConfig> {
  const url = await urlOf(config, secret);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const timeout = durationMs(config.timeout);
  const password =
    config.password_secret === undefined ? decodeURIComponent(url.password) : await secret(config.password_secret);
  return {
    host,
    port: url.port === "" ? 5432 : Number(url.port),
    database: decodeURIComponent(url.pathname.slice(1)),
    user: decodeURIComponent(url.username) || "postgres",
    password,
    ssl: await tlsOf(config, host),
    application_name: name,
    connectionTimeoutMillis: timeout,
    statement_timeout: timeout,
    // The server's own answer comes first, unless it is gone.
    query_timeout: timeout + 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

async function urlOf({ url, url_secret }: ConnectionConfig, secret: (name: string) => Promise<string>): Promise<URL> {
  const text = url_secret === undefined ? url : (await secret(url_secret)).trim();
  const parsed = text === undefined ? undefined : databaseUrl(text);
  if (parsed !== undefined) return parsed;
  throw new FlowctlError({
    code: "components/postgres-bad-url",
    kind: "invalid",
    message: `the secret ${url_secret} does not hold the URL of a PostgreSQL database`,
    fix: "write it as postgres://user:password@host:5432/database",
  });
}

/** Node.js checks the certificate and the host name unless it is told not to; `pg` tells it the name, but no address. */
async function tlsOf({ tls, ca }: ConnectionConfig, host: string): Promise<ClientConfig["ssl"]> {
  const mode = tls ?? (ca === undefined && isNear(host) ? "off" : "verify");
  if (mode === "off") return false;
  if (mode === "unverified") return { rejectUnauthorized: false };
  return { host, ...(ca === undefined ? {} : { ca: await readAuthority(ca) }) };
}

/** This machine, and names without a dot, as services have. */
function isNear(host: string): boolean {
  return /^127\./.test(host) || host === "::1" || !/[.:]/.test(host);
}

async function readAuthority(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    throw fileFailure(error, { code: "components/postgres-no-ca", doing: "read", path });
  });
}
