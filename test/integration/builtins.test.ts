import { statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { type Part, poll, Rig } from "../chaos/rig.ts";

const data = resolve(import.meta.dirname, "../../node_modules/vega-datasets/data");
const quakes = join(data, "earthquakes.json");

interface Feature {
  readonly id: string;
  readonly properties: { readonly mag: number; readonly place: string; readonly time: number };
}

async function run(
  name: string,
  parts: (folder: string) => readonly Part[],
  use: (rig: Rig) => Promise<void>,
): Promise<void> {
  const rig = await Rig.start(name, parts);
  let failed = true;
  try {
    await use(rig);
    failed = false;
  } finally {
    await rig.close({ keep: failed });
  }
}

async function linesOf(path: string): Promise<unknown[]> {
  const text = await readFile(path, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}

/** Real data: a week of earthquakes, the strong ones of which go to two sinks. */
function quakeParts(folder: string): readonly Part[] {
  return [
    {
      spec: { id: "feed", type: "source" },
      run: "file",
      config: { path: quakes, format: "json", items: "features", type: "feature" },
    },
    {
      spec: { id: "strong", type: "processor", inputs: [{ from: "feed", types: [] }] },
      run: "filter",
      config: { where: "payload.properties.mag >= 4.5 && type == 'feature' && size(metadata) == 0" },
    },
    {
      spec: { id: "slim", type: "processor", inputs: [{ from: "strong", types: [] }] },
      run: "map",
      config: {
        type: "quake.v1",
        id: "payload.id",
        timestamp: "timestamp(payload.properties.time / 1000)",
        metadata: { magnitude: "payload.properties.mag" },
        to: { place: "payload.properties.place", mag: "payload.properties.mag" },
      },
    },
    {
      spec: { id: "out", type: "sink", inputs: [{ from: "slim", types: [] }] },
      run: "file",
      config: { path: join(folder, "out", "quakes.jsonl"), format: "event" },
    },
    { spec: { id: "screen", type: "sink", inputs: [{ from: "slim", types: [] }] }, run: "stdout", config: {} },
  ];
}

describe("built-ins as processes", () => {
  it("read, filter, map and write real data, and complete", async () => {
    const features = (JSON.parse(await readFile(quakes, "utf8")) as { features: Feature[] }).features;
    const strong = features.filter(({ properties }) => properties.mag >= 4.5);
    await run("quakes", quakeParts, async (rig) => {
      await poll(() => rig.finished);
      const written = await linesOf(join(rig.folder, "out", "quakes.jsonl"));
      expect(written).toEqual(
        strong.map(({ id, properties }) => ({
          id,
          type: "quake.v1",
          timestamp: new Date(properties.time).toISOString(),
          source: "slim",
          metadata: { magnitude: String(properties.mag) },
          payload: { place: properties.place, mag: properties.mag },
        })),
      );
      const printed = (await readFile(join(rig.folder, "log.txt"), "utf8")).match(/^screen-1 \{"place"/gm);
      expect(printed).toHaveLength(strong.length);
    });
  });

  it("write each line of a file once, in order, however often each of them is killed", async () => {
    const count = 30_000;
    const parts = (folder: string): readonly Part[] => [
      { spec: { id: "feed", type: "source" }, run: "file", config: { path: join(folder, "in.jsonl") } },
      {
        spec: { id: "most", type: "processor", inputs: [{ from: "feed", types: [] }] },
        run: "filter",
        config: { where: "payload.n % 10 != 0" },
      },
      {
        spec: { id: "double", type: "processor", inputs: [{ from: "most", types: [] }] },
        run: "map",
        config: { set: { twice: "payload.n * 2" } },
      },
      {
        spec: { id: "out", type: "sink", inputs: [{ from: "double", types: [] }] },
        run: "file",
        config: { path: join(folder, "out.jsonl") },
      },
    ];
    const prepare = (folder: string): readonly Part[] => {
      const lines = Array.from({ length: count }, (_, n) => JSON.stringify({ n: n + 1, filling: "x".repeat(n % 200) }));
      writeFileSync(join(folder, "in.jsonl"), `${lines.join("\n")}\n`);
      return parts(folder);
    };
    await run("kills", prepare, async (rig) => {
      const out = join(rig.folder, "out.jsonl");
      const victims = ["out-1", "feed-1", "double-1", "most-1", "control-plane"];
      for (let kill = 0; kill < 12 && !rig.finished; kill++) {
        const before = sizeOf(out);
        await poll(() => sizeOf(out) > before || rig.finished);
        rig.kill(victims[kill % victims.length]!);
      }
      await poll(() => rig.finished);
      const numbers = (await linesOf(out)).map((line) => (line as { n: number; twice: number }).twice / 2);
      const wanted = Array.from({ length: count }, (_, n) => n + 1).filter((n) => n % 10 !== 0);
      expect(numbers.length).toBe(wanted.length);
      expect(numbers).toEqual(wanted);
      expect(rig.restarts("out-1") + rig.restarts("feed-1")).toBeGreaterThan(0);
    });
  });
});

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
