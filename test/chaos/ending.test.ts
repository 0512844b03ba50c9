import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { poll, Rig } from "./rig.ts";

const slowSink = resolve(import.meta.dirname, "fixtures/slow-sink.mjs");

beforeAll(buildProgram);

it("a source that is killed while its slow sink is not through yet, and its fast one is, still ends", async () => {
  const count = 2_000;
  const rig = await Rig.start("ending", (folder) => [
    { spec: { id: "numbers", type: "source" }, run: "generator", config: { count, rate: "unlimited" } },
    {
      spec: { id: "fast", type: "sink", inputs: [{ from: "numbers", types: [] }] },
      run: "file",
      config: { path: join(folder, "fast.jsonl") },
    },
    {
      spec: { id: "slow", type: "sink", inputs: [{ from: "numbers", types: [] }] },
      run: [slowSink],
      config: { path: join(folder, "slow.txt"), pauseMs: 2 },
    },
  ]);
  const lines = (file: string): string[] => {
    const path = join(rig.folder, file);
    return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  };
  let passed = false;
  try {
    await poll(() => lines("fast.jsonl").length === count && lines("slow.txt").length > count / 2);
    rig.kill("numbers-1");
    await poll(() => rig.finished);
    expect(rig.restarts("numbers-1")).toBe(1);
    expect(lines("fast.jsonl").length).toBe(count);
    expect(new Set(lines("slow.txt")).size).toBe(count);
    passed = true;
  } finally {
    await rig.close({ keep: !passed });
  }
}, 60_000);
