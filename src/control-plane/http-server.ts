import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FlowctlError, messageOf } from "../foundation/errors.ts";
import { DATA_HEADERS, isLocalHost, MISDIRECTED } from "../foundation/local-host.ts";
import type { PipelineEvent, PipelineRecord } from "../protocol/records.ts";
import { type HttpCaller, type HttpGate, LOGIN_PATH } from "./access/http-gate.ts";
import type { ControlPlaneMetrics } from "./metrics.ts";

export interface HttpServer {
  /** `host:port` as asked for, with the port that was given. */
  readonly address: string;
  close(): Promise<void>;
}

/** What is served. */
export interface HttpParts {
  readonly metrics: ControlPlaneMetrics;
  readonly pipeline: () => PipelineRecord;
  readonly events: (after: number) => readonly PipelineEvent[];
  /** Whether components can be served now. */
  readonly ready: () => boolean;
  /** Who may read anything but OPEN_PATHS and metrics; left out: everybody. */
  readonly gate?: HttpGate | undefined;
  /** Whether metrics are for those alone, too. */
  readonly protectMetrics?: boolean | undefined;
}

/**
 * The control plane's HTTP side on `listen` (`host:port`; port 0 takes a free one): `/`, which lists the others, `/health`, `/ready`,
 * `/metrics`, `/api/pipeline`, `/api/events?after=N`, and with a gate `/login/<code>`. Reads only. Answers a request for a stranger's host
 * name with 421, but for `/health` and `/ready`: see isLocalHost. Answers with 401 whom the gate does not admit, before it says whether
 * there is anything at that path.
 */
export async function startHttpServer(listen: string, parts: HttpParts): Promise<HttpServer> {
  const server = createServer((request, response) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      sendJson(response, 405, { error: "only GET and HEAD are allowed" }, { allow: "GET, HEAD" });
      return;
    }
    const target = targetOf(request.url ?? "/");
    if (target === undefined) {
      sendJson(response, 400, { error: "the request target must be a path or an http URL" });
      return;
    }
    const hosts = [request.headers.host, target.host];
    if (!OPEN_PATHS.includes(target.path) && !hosts.every(isLocalHost)) {
      sendJson(response, MISDIRECTED.status, { error: MISDIRECTED.error });
      return;
    }
    const caller: HttpCaller = { headers: request.headers, localPort: request.socket.localPort };
    if (parts.gate !== undefined && target.path.startsWith(LOGIN_PATH)) {
      if (request.method === "GET") login(parts.gate, target.path.slice(LOGIN_PATH.length), caller, response);
      else sendJson(response, 405, { error: "only GET is allowed" }, { allow: "GET" });
      return;
    }
    if (!isOpen(target, parts) && parts.gate?.admits(caller) === false) {
      sendJson(response, 401, UNAUTHORIZED, { "www-authenticate": 'Bearer realm="flowctl"' });
      return;
    }
    answer(parts, target, response).catch((error: unknown) => fail(response, error));
  });
  const colon = listen.lastIndexOf(":");
  const host = listen.slice(0, colon);
  await new Promise<void>((resolve, reject) => {
    const onError = (error: Error): void =>
      reject(
        FlowctlError.wrap(error, {
          code: "control-plane/cannot-listen",
          kind: "unavailable",
          message: `cannot listen on ${listen}`,
          fix: "Stop the program that uses the address, or choose another address.",
        }),
      );
    server.once("error", onError);
    server.listen(Number(listen.slice(colon + 1)), host.replace(/^\[|\]$/g, ""), () => {
      server.removeListener("error", onError);
      // Once it listens, a connection that cannot be accepted (no file descriptors left) is that caller's loss alone.
      server.on("error", () => undefined);
      resolve();
    });
  });
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Tell nothing but whether it works, and so whoever asks. */
const OPEN_PATHS: readonly string[] = ["/health", "/ready"];

function isOpen({ path }: Target, { protectMetrics = false }: HttpParts): boolean {
  return OPEN_PATHS.includes(path) || (path === "/metrics" && !protectMetrics);
}

const UNAUTHORIZED = {
  error: "a token or a session is needed",
  fix: "open the address that `flowctl access url` prints, or send `Authorization: Bearer` with what `flowctl access token` prints",
} as const;

/** The address of the page that follows has no secret in it. */
function login(gate: HttpGate, code: string, caller: HttpCaller, response: ServerResponse): void {
  const result = gate.login(code, caller);
  if ("error" in result) sendJson(response, result.status, { error: result.error });
  else response.writeHead(303, { ...DATA_HEADERS, location: "/", "set-cookie": result.cookie }).end();
}

interface Target {
  /** Of a target in absolute form, which comes before the request's header. */
  readonly host?: string;
  readonly path: string;
  readonly query: URLSearchParams;
}

/**
 * The target of a request in origin form (`/path?query`) or absolute form (`http://host/path?query`); undefined for any
 * other. Never throws: the bytes are a stranger's. A path is not read as a URL, since `//` begins the host of one.
 */
function targetOf(target: string): Target | undefined {
  if (target.startsWith("/")) {
    const mark = target.indexOf("?");
    const path = mark === -1 ? target : target.slice(0, mark);
    return { path, query: new URLSearchParams(mark === -1 ? "" : target.slice(mark + 1)) };
  }
  if (!URL.canParse(target)) return undefined;
  const { protocol, host, pathname, searchParams } = new URL(target);
  return protocol === "http:" ? { host, path: pathname, query: searchParams } : undefined;
}

async function answer(parts: HttpParts, { path, query }: Target, response: ServerResponse): Promise<void> {
  switch (path) {
    case "/":
      return sendJson(response, 200, indexOf(parts));
    case "/health":
      return sendJson(response, 200, { status: "healthy" });
    case "/ready":
      return parts.ready()
        ? sendJson(response, 200, { status: "ready" })
        : sendJson(response, 503, { status: "not ready" });
    case "/metrics": {
      const text = await parts.metrics.render();
      response.writeHead(200, { ...DATA_HEADERS, "content-type": parts.metrics.contentType }).end(text);
      return;
    }
    case "/api/pipeline":
      return sendJson(response, 200, parts.pipeline());
    case "/api/events":
      return sendJson(response, 200, { events: parts.events(Number(query.get("after") ?? 0) || 0) });
    default:
      return sendJson(response, 404, { error: `not found: ${path}` });
  }
}

/** What there is to read here, for whoever opens the address that `flowctl up` prints. */
function indexOf(parts: HttpParts): unknown {
  const { name, state } = parts.pipeline();
  return {
    pipeline: name,
    state,
    ...(parts.gate === undefined ? { access: "open to everybody who reaches this port (--insecure)" } : {}),
    paths: {
      "/api/pipeline": "topology, state and counts of all components",
      "/api/events?after=0": "what happened: changes of state, exits, restarts",
      "/metrics": "metrics for Prometheus",
      "/health": "200 while the control plane works",
      "/ready": "200 once components can register",
    },
  };
}

/** What was begun can only be cut off: its status has been sent. */
function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy();
  else sendJson(response, 500, { error: messageOf(error) });
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...DATA_HEADERS, "content-type": "application/json; charset=utf-8", ...headers });
  response.end(`${JSON.stringify(body)}\n`);
}
