import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type Bench, createBench, eventually, scriptedComponent } from "./process-driver/bench.ts";

describe("a pipeline on processes", () => {
  test("comes up, says what it does, and goes without a trace", async () => {
    await using bench = createBench();
    await bench.up(
      bench.deployment([scriptedComponent("a", "serve", { replicas: 2 }), scriptedComponent("b", "serve")]),
    );
    await eventually("every instance is healthy", async () =>
      (await bench.driver.observe("bench", new AbortController().signal))
        .filter(({ kind }) => kind === "component")
        .every(({ state }) => state.status === "running" && state.health === "healthy"),
    );
    expect(instancesOf(bench)).toEqual(["a-1", "a-2", "b-1"]);
    await bench.down();
    expect(bench.processes()).toEqual([]);
    expect(existsSync(bench.paths.folder)).toBe(false);
    expect(await bench.driver.pipelines(new AbortController().signal)).toEqual([]);
  });
});

function instancesOf(bench: Bench): readonly string[] {
  return bench
    .processes()
    .flatMap(({ instance }) => instance ?? [])
    .sort();
}
