import { request } from "node:http";
import { afterEach, expect, it } from "vitest";
import { noMetrics } from "../protocol/component-codec.ts";
import { type HealthServer, serveHealth } from "./health-server.ts";

let server: HealthServer | undefined;
afterEach(() => server?.close());

async function ask(path: string, host: string): Promise<string> {
  const instance = { pipeline: "p", componentId: "c", instanceId: "c-1", index: 1, replicas: 1 };
  const subject = { instance, ready: () => true, degradedReason: () => "", metrics: () => noMetrics };
  server ??= await serveHealth("127.0.0.1", 0, subject);
  const { port } = server;
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, headers: { host } }, (response) => {
      let body = "";
      response.on("data", (chunk) => (body += String(chunk)));
      response.on("end", () => resolve(`${response.statusCode} ${body.trim()}`));
    })
      .on("error", reject)
      .end();
  });
}

it("tells who asks for a stranger's host name whether it works, and nothing else", async () => {
  expect(await ask("/metrics", "evil.example:8088")).toMatch(/^421 /);
  for (const host of ["127.0.0.1:8088", "filter-1:8088"]) expect(await ask("/metrics", host)).toMatch(/^200 # HELP/);
  expect(await ask("/ready", "evil.example:8088")).toBe('200 {"ready":true}');
  expect(await ask("/health", "evil.example:8088")).toBe('200 {"status":"healthy"}');
  expect(await ask("/health", "localhost:8088")).toContain('"instance":"c-1"');
});
