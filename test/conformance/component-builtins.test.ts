import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { launchCommand, renderReport, testComponent } from "../../src/conformance/index.ts";

// On a machine that others use as well everything may take long.
const testTimeout = 900_000;
vi.setConfig({ maxConcurrency: 2, testTimeout: testTimeout + 30_000 });

const program = resolve(import.meta.dirname, "../../dist/component.js");
const quakes = resolve(import.meta.dirname, "../../node_modules/vega-datasets/data/earthquakes.json");

let folder = "";
const server = createServer((_request, response) => {
  readFile(quakes).then(
    (body) => response.end(body),
    () => response.writeHead(500).end(),
  );
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-builtins-"));
  const lines = Array.from({ length: 40 }, (_, index) => JSON.stringify({ number: index + 1 }));
  await writeFile(join(folder, "numbers.jsonl"), `${lines.join("\n")}\n`);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true, force: true });
});

describe("every built-in component keeps the component contract", { concurrent: true }, () => {
  it.each<["source" | "processor" | "sink", string, string, () => unknown]>([
    ["source", "generator", "without end", () => ({ rate: "unlimited" })],
    ["source", "generator", "with an end", () => ({ rate: "unlimited", count: 12 })],
    ["source", "file", "with an end", () => ({ path: join(folder, "numbers.jsonl") })],
    ["source", "file", "that is followed", () => ({ path: join(folder, "numbers.jsonl"), follow: true })],
    ["source", "http-poll", "once", () => ({ url: serverUrl(), items: "features", id: "id", count: 1 })],
    ["processor", "filter", "that lets some through", () => ({ where: "payload.value > 10.0" })],
    ["processor", "map", "that adds a field", () => ({ set: { twice: "payload.value * 2.0" } })],
    ["sink", "discard", "at once", () => ({})],
    ["sink", "stdout", "as it comes", () => ({})],
    ["sink", "file", "to the disk", () => ({ path: join(folder, `${process.pid}.jsonl`) })],
  ])("%s %s, %s", async (type, name, _how, config) => {
    const report = await testComponent({
      launch: launchCommand([process.execPath, program, name], {
        environment: { ...process.env, FLOWCTL_COMPONENT_TYPE: type },
      }),
      type,
      config: config(),
      // A machine that others use as well may take long for everything.
      timing: { startMs: 60_000, settleMs: 5_000, stepMs: 60_000, slackMs: 30_000, pingMs: 300 },
      signal: AbortSignal.timeout(testTimeout),
    });
    expect(report.conforms, renderReport(report)).toBe(true);
    expect(report.passed, renderReport(report)).toBeGreaterThan(type === "sink" ? 28 : 40);
  });
});

function serverUrl(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/quakes.json`;
}
