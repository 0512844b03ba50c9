import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { launchCommand, listChecks, renderReport, testComponent } from "../../src/conformance/index.ts";
import { Postgres } from "../chaos/postgres.ts";

// On a machine that others use as well everything may take long.
const testTimeout = 900_000;
vi.setConfig({ maxConcurrency: 2, testTimeout: testTimeout + 30_000 });

const program = resolve(import.meta.dirname, "../../dist/component.js");
const quakes = resolve(import.meta.dirname, "../../node_modules/vega-datasets/data/earthquakes.json");

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const withoutPostgres = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("postgres");

let folder = "";
const server = createServer((_request, response) => {
  readFile(quakes).then(
    (body) => response.end(body),
    () => response.writeHead(500).end(),
  );
});

let postgres: Postgres | undefined;

beforeAll(async () => {
  if (!withoutPostgres) postgres = await Postgres.create();
  await postgres?.query(
    "create table numbers (n int primary key)",
    "insert into numbers select generate_series(1, 40)",
  );
  folder = await mkdtemp(join(tmpdir(), "flowctl-builtins-"));
  const lines = Array.from({ length: 40 }, (_, index) => JSON.stringify({ number: index + 1 }));
  await writeFile(join(folder, "numbers.jsonl"), `${lines.join("\n")}\n`);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(async () => {
  server.close();
  await postgres?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What depends on the component itself: the rest is the library's, which the others show. */
const OWN = {
  source: [
    "publish/event",
    "checkpoint/resume",
    "checkpoint/contiguous",
    "end/resumed",
    "stop/nothing-new",
    "config/invalid",
  ],
  processor: ["publish/stable-ids", "ack/after-below", "end/completes", "stop/waits", "config/invalid"],
  sink: ["ack/all", "end/completes", "subscribe/again", "config/invalid"],
};

/** And at the end of one that has an end; of one that has none, the library has shown the rest. */
const AT_ITS_END = [
  ...new Set([
    ...OWN.source,
    ...listChecks().flatMap(({ id, types }) => (id.startsWith("end/") && types.includes("source") ? [id] : [])),
  ]),
];

describe("every built-in component keeps the component contract", { concurrent: true }, () => {
  it.each<readonly ["source" | "processor" | "sink", string, string, "all" | "own" | "end", () => unknown]>([
    ["source", "generator", "without end", "all", () => ({ rate: "unlimited" })],
    ["source", "generator", "with an end", "own", () => ({ rate: "unlimited", count: 12 })],
    ["source", "file", "with an end", "end", () => ({ path: join(folder, "numbers.jsonl") })],
    ["source", "file", "that is followed", "own", () => ({ path: join(folder, "numbers.jsonl"), follow: true })],
    ["source", "http-poll", "once", "own", () => ({ url: serverUrl(), items: "features", id: "id", count: 1 })],
    ...(withoutPostgres
      ? []
      : ([
          ["source", "postgres", "once", "end", () => rowsOfPostgres({})],
          ["source", "postgres", "that is followed", "own", () => rowsOfPostgres({ mode: "cursor", cursor: "n" })],
        ] as const)),
    ["processor", "filter", "that lets some through", "all", () => ({ where: "payload.value > 10.0" })],
    ["processor", "map", "that adds a field", "own", () => ({ set: { twice: "payload.value * 2.0" } })],
    ["processor", "sample", "that passes all on", "own", () => ({ rate: 1 })],
    ["processor", "throttle", "that hardly waits", "own", () => ({ rate: 100_000 })],
    ["processor", "unnest", "of one item", "own", () => ({ items: "[payload]" })],
    ["sink", "discard", "at once", "own", () => ({})],
    ["sink", "stdout", "as it comes", "own", () => ({})],
    ["sink", "file", "to the disk", "all", () => ({ path: join(folder, `${process.pid}.jsonl`) })],
    ...(withoutPostgres ? [] : [["sink", "postgres", "into a table", "own", () => tableOfPostgres()] as const]),
  ])("%s %s, %s", async (type, name, _how, which, config) => {
    const report = await testComponent({
      launch: launchCommand([process.execPath, program, name], {
        environment: { ...process.env, FLOWCTL_COMPONENT_TYPE: type },
      }),
      type,
      config: config(),
      ...(which === "all" ? {} : { only: which === "own" ? OWN[type] : AT_ITS_END }),
      // A machine that others use as well may take long for everything.
      timing: {
        startMs: 60_000,
        settleMs: 5_000,
        stepMs: 60_000,
        slackMs: 30_000,
        graceMs: 8_000,
        pingMs: 300,
        certificateMs: 15_000,
      },
      signal: AbortSignal.timeout(testTimeout),
    });
    expect(report.conforms, renderReport(report)).toBe(true);
    if (which === "all") {
      expect(report.passed, renderReport(report)).toBeGreaterThan(type === "sink" ? 50 : 78);
      // What it declares and this type of component has no use for, or has it for dead letters alone.
      expect(report.unchecked).not.toContain("draining");
      expect(report.unchecked).not.toContain("leaving");
    } else {
      const wanted = which === "own" ? OWN[type] : AT_ITS_END;
      const outcomes = new Map(report.checks.map(({ id, outcome }) => [id, outcome]));
      // What never ends, and what ends by itself, have no use for some of them.
      const concerned = wanted.filter((id) => outcomes.get(id) !== "not-applicable");
      expect(concerned.length, renderReport(report)).toBeGreaterThanOrEqual(wanted.length - 1);
      expect(concerned.map((id) => outcomes.get(id))).toEqual(concerned.map(() => "passed"));
    }
    // A sink that writes whatever comes shows nothing of what it does with an event that it cannot write.
    const failing = report.checks.filter(({ id }) => id.startsWith("fail/")).length;
    expect(report.notShown, renderReport(report)).toBe(type === "sink" ? failing : 0);
  });
});

function tableOfPostgres() {
  return { url: `postgres://flow@127.0.0.1:${postgres?.port}/postgres`, table: "events", create: true };
}

function rowsOfPostgres(more: Record<string, unknown>) {
  return { url: `postgres://flow@127.0.0.1:${postgres?.port}/postgres`, table: "numbers", ...more };
}

function serverUrl(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/quakes.json`;
}
