import { createServer } from "node:http";
import { LABEL } from "../resources/labels.ts";

/** One container of a fake engine. */
export interface FakeContainer {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  running?: boolean;
}

/** Labels that flowctl gives to a container. */
export function labelsOf(pipeline: string, key: string): Record<string, string> {
  const [kind = "", rest = ""] = key.split("/");
  const dash = rest.lastIndexOf("-");
  return {
    [LABEL.pipeline]: pipeline,
    [LABEL.key]: key,
    [LABEL.kind]: kind,
    [LABEL.owner]: dash < 0 ? kind : rest.slice(0, dash),
    [LABEL.index]: dash < 0 ? rest : rest.slice(dash + 1),
    [LABEL.hash]: "h",
    [LABEL.networks]: "",
  };
}

/**
 * What a Docker engine answers on a Unix socket to whoever looks at containers and starts and stops them. It keeps what was asked of it,
 * and ignores filters, as nobody is to rely on them.
 */
export class FakeEngine {
  readonly asked: string[] = [];
  /** What was not only looked at. */
  get changes(): readonly string[] {
    return this.asked.filter((line) => !line.startsWith("GET "));
  }
  readonly containers: FakeContainer[];
  /** Called before a change is answered. */
  onChange: (line: string) => Promise<void> | void = () => undefined;
  readonly #server = createServer((request, response) => {
    const path = (request.url ?? "").replace(/^\/v[\d.]+/, "").replace(/\?.*/, "");
    const line = `${request.method} ${path}`;
    this.asked.push(line);
    const send = (status: number, body?: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    };
    const [, , id, verb] = path.split("/");
    if (path === "/networks") return send(200, []);
    if (path === "/containers/json") {
      return send(
        200,
        this.containers.map((one) => ({ Id: one.id, Labels: one.labels })),
      );
    }
    if (path === "/events") {
      response.writeHead(200);
      response.write("\n");
      return;
    }
    const found = this.containers.find((one) => one.id === id);
    if (found === undefined) return send(404, { message: `No such container: ${id}` });
    if (verb === "json") return send(200, inspected(found));
    if (verb === "logs") {
      const text = Buffer.from("2026-01-01T00:00:00.000000000Z said\n");
      const head = Buffer.from([2, 0, 0, 0, 0, 0, 0, text.length]);
      response.writeHead(200, { "content-type": "application/octet-stream" });
      response.end(Buffer.concat([head, text]));
      return;
    }
    void Promise.resolve(this.onChange(line)).then(() => {
      if (verb === "unpause") return send(409, { message: "not paused" });
      found.running = verb !== "stop";
      send(204);
    });
  });

  constructor(containers: readonly FakeContainer[]) {
    this.containers = [...containers];
  }

  listen(socketPath: string): Promise<void> {
    return new Promise((resolve) => this.#server.listen(socketPath, resolve));
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function inspected({ id, labels, running = true }: FakeContainer): object {
  return {
    Id: id,
    Name: `/${id}`,
    Created: "2026-01-01T00:00:00Z",
    RestartCount: 0,
    Config: { Labels: labels, Image: "i", User: "1:1", Env: [] },
    HostConfig: {},
    NetworkSettings: { Networks: {}, Ports: {} },
    State: {
      Running: running,
      Paused: false,
      Restarting: false,
      OOMKilled: false,
      ExitCode: running ? 0 : 3,
      StartedAt: "2026-01-01T00:00:01Z",
      FinishedAt: running ? "0001-01-01T00:00:00Z" : "2026-01-01T00:00:02Z",
    },
  };
}
