import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FlowctlError, messageOf } from "../foundation/errors.ts";
import { DATA_HEADERS, isLocalHost, MISDIRECTED } from "../foundation/local-host.ts";
import type { InstanceMetrics } from "../protocol/records.ts";
import type { InstanceInfo } from "./component.ts";
import { exposeMetrics } from "./expose-metrics.ts";

/** What the endpoints tell. */
export interface HealthSubject {
  readonly instance: InstanceInfo;
  /** Registered, opened, and streaming or about to. */
  ready(): boolean;
  /** Why it works, but not well; empty when it works well. */
  degradedReason(): string;
  metrics(): InstanceMetrics;
}

export interface HealthServer {
  readonly port: number;
  close(): void;
}

/**
 * Serves `/health` (200 as long as the program's event loop turns), `/ready` (200 once it takes part in the pipeline,
 * 503 before) and `/metrics` (Prometheus text). Who asks for a stranger's host name (see isLocalHost) is told the status alone. Rejects with `sdk/health-port` when the port is taken.
 */
export async function serveHealth(host: string, port: number, subject: HealthSubject): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "/";
    if (request.method !== "GET" && request.method !== "HEAD")
      return answer(response, 405, { error: "only GET is supported" });
    const isLocal = isLocalHost(request.headers.host);
    if (path === "/health") return health(response, subject, isLocal);
    if (path === "/ready") return answer(response, subject.ready() ? 200 : 503, { ready: subject.ready() });
    if (!isLocal) return answer(response, MISDIRECTED.status, { error: MISDIRECTED.error });
    if (path === "/metrics") return metrics(response, subject);
    answer(response, 404, { error: "use /health, /ready or /metrics" });
  });
  server.keepAliveTimeout = 30_000;
  const address = await listen(server, host, port);
  return {
    port: address.port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function health(response: ServerResponse, subject: HealthSubject, isLocal: boolean): void {
  const reason = subject.degradedReason();
  const status = reason === "" ? "healthy" : "degraded";
  const details = { reason, instance: subject.instance.instanceId, metrics: subject.metrics() };
  answer(response, 200, { status, ...(isLocal ? details : {}) });
}

function metrics(response: ServerResponse, subject: HealthSubject): void {
  exposeMetrics(subject.instance, subject.metrics()).then(
    ({ contentType, text }) => {
      response.writeHead(200, { ...DATA_HEADERS, "content-type": contentType });
      response.end(text);
    },
    (error: unknown) => answer(response, 500, { error: messageOf(error) }),
  );
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...DATA_HEADERS, "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return await new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(
        new FlowctlError({
          code: "sdk/health-port",
          kind: "unavailable",
          message: `cannot start the health server on ${host}:${port}: ${messageOf(error)}`,
          fix: "set FLOWCTL_HEALTH_PORT to a free port",
          cause: error,
        }),
      );
    });
    server.listen(port, host, () => resolve(server.address() as AddressInfo));
  });
}
