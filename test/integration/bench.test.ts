import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { compare } from "../bench/against/measure.ts";
import { here, withVersion } from "../bench/against/version.ts";
import { measureComponentStart } from "../bench/component-start.ts";
import { clearlyMissed, renderResults } from "../bench/results-table.ts";
import { measureDockerBridge } from "../bench/streams/docker-bridge.ts";
import { measureMtls } from "../bench/streams/mtls.ts";
import { typeOfGroup } from "../bench/streams/parts/settings.ts";
import { chain, fanOut, linear } from "../bench/streams/plans.ts";
import { Programs } from "../bench/streams/programs.ts";
import { measureRenewal } from "../bench/streams/renewal.ts";
import { largestProcess, type RunOptions, type RunResult, runParts, slowestSink } from "../bench/streams/run-parts.ts";
import { measureStalledSink } from "../bench/streams/stalled-sink.ts";
import { runProgram } from "../e2e/run-program.ts";

/** Left out by name only; without an engine it fails. */
const withoutDocker = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("docker");

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(async () => await programs.remove());
afterEach(() => vi.unstubAllEnvs());

async function run(options: Partial<RunOptions>): Promise<RunResult> {
  return await runParts(programs, {
    ...{ program: "flowctl", plan: linear("filter"), count: 2_000, size: 180, patienceMs: 30_000 },
    ...options,
  });
}

describe("a benchmark of streams", () => {
  it.each([
    ["flowctl", { program: "flowctl" }],
    ["flowctl with a map", { program: "flowctl", plan: linear("map") }],
    ["proto-loader, 1 a message", { program: "loader", batch: 1 }],
    ["proto-loader with a map, 256 a message", { program: "loader", batch: 256, plan: linear("map"), count: 2_048 }],
    ["gRPC alone", { program: "grpc" }],
    ["HTTP/2 alone", { program: "http2" }],
    ["TCP alone", { program: "tcp" }],
  ] as const)("counts every event at the sink and what each program used: %s", async (_, options) => {
    const result = await run(options);
    expect(slowestSink(result)).toBeGreaterThan(0);
    expect(Object.keys(result.used).sort()).toEqual(["middle-1", "sink-1", "source-1"]);
    expect(largestProcess(result)).toBeGreaterThan(20);
  });

  it("measures latency where events come at a rate", async () => {
    const { sinks } = await run({ count: 500, rate: 1_000, size: 0 });
    expect(sinks.sink!.p50).toBeGreaterThan(0);
    expect(sinks.sink!.p99).toBeGreaterThanOrEqual(sinks.sink!.p50);
  });

  it.each([
    ["encoded once", { plan: fanOut(3) }],
    ["encoded anew for each", { plan: fanOut(3, (sink) => [typeOfGroup(sink)]), anew: true }],
    ["over proto-loader", { program: "loader", batch: 100, plan: fanOut(3) }],
  ] as const)("waits for every sink of a fan-out: %s", async (_, options) => {
    expect(Object.keys((await run(options)).sinks).sort()).toEqual(["sink1", "sink2", "sink3"]);
  });

  it("runs replicas and chains, and sees what each process and the control plane used of the processors", async () => {
    const replicas = await run({ plan: linear("filter", 2), count: 20_000 });
    expect(Object.keys(replicas.busy)).toEqual(expect.arrayContaining(["control-plane", "middle-1", "middle-2"]));
    expect(Object.keys((await run({ plan: chain(2) })).used)).toContain("step2-1");
  });

  it("compares mutual TLS with streams in the clear", async () => {
    const rows = await measureMtls({ rounds: 1, scale: 0.001 });
    expect(renderResults(rows)).toMatch(/mutual TLS .* in the clear .* ≥ 0.65 +(met|MISSED)$/m);
  });

  it("compares streams whose programs renew their certificates with others", async () => {
    const rows = await measureRenewal({ rounds: 1, scale: 0.05 });
    expect(renderResults(rows)).toMatch(/percentile: renewing .* not renewing .* ≤ 2 +(met|MISSED)$/m);
  });

  it.skipIf(withoutDocker)("compares containers on a bridge with processes", async () => {
    const rows = await measureDockerBridge({ rounds: 1, scale: 0.001 });
    expect(rows[0]!.measured.samples).toHaveLength(1);
    const { stdout } = await runProgram("docker", ["network", "ls", "--filter", `name=flowctl-bench-${process.pid}-`]);
    expect(stdout.trim().split("\n")).toHaveLength(1);
  });

  it("watches the memory of programs that stand still behind a stalled sink", async () => {
    const [growth, size] = await measureStalledSink(1, 2);
    expect(growth!.measured.samples).toHaveLength(1);
    expect(size!.measured.samples[0]).toBeGreaterThan(20);
  });

  it("measures how long components take to be registered, and what memory they need when they have nothing to do", async () => {
    const rows = await measureComponentStart(1);
    for (const { measured } of rows) expect(measured.samples).toHaveLength(1);
    expect(renderResults(rows)).toMatch(/from spawn to registered: slowest .* ≤ 200 +(met|MISSED)$/m);
    expect(renderResults(rows)).toMatch(/resident memory: largest .* ≤ 60 +(met|MISSED)$/m);
  });

  it("fails with what a program said when that program fails, and leaves nothing behind", async () => {
    const folder = mkdtempSync(join(tmpdir(), "flowctl-bench-test-"));
    try {
      vi.stubEnv("TMPDIR", folder);
      vi.stubEnv("BENCH_NODE_OPTIONS", "--no-such-option");
      await expect(run({})).rejects.toThrow(/ended with code 9\n(.*\n)*.*bad option/);
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("fails, and names who is still running, when a run takes too long", async () => {
    await expect(run({ count: Number.MAX_SAFE_INTEGER, patienceMs: 500 })).rejects.toThrow(
      /the run took longer than 0.5 s; running: .*sink-1/,
    );
  });
});

describe("a benchmark against another version", () => {
  it("builds a commit in a folder of its own, measures both in the same rounds, and removes it", async () => {
    const root = await withVersion("HEAD", async (other) => {
      const rows = await compare([here, other], { rounds: 1, count: 5_000, repeats: 1 });
      for (const { measured, baseline } of rows) {
        expect(measured.samples[0]).toBeGreaterThan(0);
        expect(baseline.samples[0]).toBeGreaterThan(0);
      }
      return other.root;
    });
    expect(existsSync(root)).toBe(false);
  });

  it.each([
    ["what is slower in every round", [130, 140, 150, 130, 140], true],
    ["what is slower in every round but one", [130, 140, 150, 90, 140], true],
    ["nothing within its limit", [119, 119, 119, 119, 119], false],
    ["nothing that rounds disagree about", [90, 300, 200, 90, 200], false],
  ])("finds slower %s", (_, own, is) => {
    const row = {
      ...{ what: "run", unit: "ms", goal: { atMost: 1.2 } },
      measured: { name: "here", samples: own },
      baseline: { name: "v1", samples: own.map(() => 100) },
    };
    expect(clearlyMissed(row)).toBe(is);
  });
});
