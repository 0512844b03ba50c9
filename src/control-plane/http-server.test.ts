import { connect } from "node:net";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { PipelineRecord } from "../protocol/records.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";
import { createMetrics } from "./metrics.ts";

const record: PipelineRecord = {
  id: "p",
  name: "p",
  state: "running",
  reason: "",
  driver: "process",
  startedAt: 0,
  components: [],
  topology: {},
};

let server: HttpServer;
let failing = false;
const uncaught: unknown[] = [];
const catchAll = (error: unknown): void => void uncaught.push(error);

beforeEach(async () => {
  failing = false;
  uncaught.length = 0;
  process.prependListener("uncaughtException", catchAll);
  process.prependListener("unhandledRejection", catchAll);
  server = await startHttpServer("127.0.0.1:0", {
    metrics: createMetrics(() => record),
    pipeline: () => {
      if (failing) throw new Error("the registry broke");
      return record;
    },
    events: () => [],
    ready: () => true,
  });
});

afterEach(async () => {
  await server.close();
  process.removeListener("uncaughtException", catchAll);
  process.removeListener("unhandledRejection", catchAll);
});

/** Everything that comes back for these bytes until the server closes the connection. */
function exchange(bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const [host = "", port] = server.address.split(":");
    let answer = "";
    const socket = connect(Number(port), host, () => socket.end(bytes));
    socket.on("data", (chunk) => {
      answer += String(chunk);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
  });
}

function get(target: string, host = "x"): Promise<string> {
  return exchange(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
}

async function expectAlive(): Promise<void> {
  const { status } = await fetch(`http://${server.address}/health`);
  expect(status).toBe(200);
  expect(uncaught).toEqual([]);
}

describe("the address itself", () => {
  test("lists what is served there, all of which is", async () => {
    const index = (await (await fetch(`http://${server.address}/`)).json()) as { readonly paths: object };
    expect(index).toMatchObject({ pipeline: "p", state: "running" });
    const paths = Object.keys(index.paths);
    expect(paths).toEqual(["/api/pipeline", "/api/events?after=0", "/metrics", "/health", "/ready"]);
    for (const path of paths) expect((await fetch(`http://${server.address}${path}`)).status, path).toBe(200);
  });
});

describe("a page whose name was made to resolve to this machine", () => {
  test.each(["/", "/metrics", "/api/pipeline", "/api/events?after=0", "//"])("gets nothing of %s", async (target) => {
    const refused = await get(target, "evil.example:8081");
    expect(refused).toMatch(/^HTTP\/1\.1 421 /);
    expect(refused).toContain("Host header");
    expect(await get(target, "localhost:8081")).not.toMatch(/^HTTP\/1\.1 421 /);
  });

  test("is not helped by a target that names the host itself", async () => {
    expect(await get("http://evil.example/api/pipeline", "localhost")).toMatch(/^HTTP\/1\.1 421 /);
    expect(await get("http://localhost/api/pipeline", "evil.example")).toMatch(/^HTTP\/1\.1 421 /);
  });

  test.each(["/health", "/ready"])("may ask %s, as everybody", async (target) => {
    expect(await get(target, "evil.example:8081")).toMatch(/^HTTP\/1\.1 200 /);
  });

  test.each(["/", "/metrics", "/api/pipeline", "/health", "/nothing"])(
    "may neither run nor keep %s",
    async (target) => {
      const { headers } = await fetch(`http://${server.address}${target}`);
      expect(Object.fromEntries(headers)).toMatchObject({
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
      });
    },
  );
});

describe("a request that makes no sense", () => {
  test.each([
    ["//", 404],
    ["//?after=1", 404],
    ["//[", 404],
    ["/\\", 404],
    ["http://", 400],
    ["http://[", 400],
    ["*", 400],
    ["http://x/health", 200],
    ["/health?after=%", 200],
    ["/api/events?after=%FF&after=", 200],
    ["/api/events?after=1e999", 200],
  ])("for %s is answered, and the next one too", async (target, status) => {
    expect(await get(target)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    await expectAlive();
  });

  test("never ends the server, whatever its bytes are", async () => {
    const token = fc.constantFrom(
      ...["GET", "HEAD", "POST", "CONNECT", "OPTIONS", "PRI", " ", "//", "/", "*", "http://", "[", "]", "%", "?", "#"],
      ...["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "\r\n", "\n", "\r", "\0", "Host: x", "Host:", "Upgrade: websocket"],
      ...["Connection: upgrade", "Connection: close", "Expect: 100-continue", "Expect: no", "Content-Length: -1"],
      ...["Content-Length: 9", "Transfer-Encoding: chunked", "/health", "/metrics", "/api/events", "\u00ff"],
    );
    const shaped = fc
      .array(token, { maxLength: 24 })
      .map((parts) => Buffer.from(`${parts.join("")}\r\n\r\n`, "latin1"));
    // Most of these get through to what reads a target.
    const begin = fc.constantFrom("/", "//", "///", "http://", "http:", "https://x", "*", "");
    const rest = fc.oneof(
      fc.string({ unit: fc.constantFrom(..."/?%#[]:@\\&=.a1"), maxLength: 12 }),
      fc.string({ unit: "binary-ascii", maxLength: 20 }),
    );
    const target = fc
      .tuple(begin, rest)
      .map((text) => Buffer.from(`GET ${text.join("")} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, "latin1"));
    const anything = fc.oneof(shaped, target, fc.uint8Array({ maxLength: 64 }));
    await fc.assert(
      fc.asyncProperty(anything, async (bytes) => {
        await exchange(bytes);
        await expectAlive();
      }),
      { numRuns: 300 },
    );
  });
});

test("what fails while it is answered is a 500, and the next request is answered", async () => {
  failing = true;
  expect(await get("/api/pipeline")).toMatch(/^HTTP\/1\.1 500 /);
  await expectAlive();
});
