import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Part, poll, Rig } from "./rig.ts";

/**
 * Numbered events of a source that is scaled up and down at full speed while its instances and the control plane are killed:
 * afterwards every number is in the sink, once.
 */
describe("a source that is scaled while it runs", () => {
  let rig: Rig | undefined;
  let passed = false;

  afterEach(async () => {
    await rig?.close({ keep: !passed });
    rig = undefined;
    passed = false;
  });

  /** One step each time the sink has written another share of the events. */
  async function scaled(
    count: number,
    rate: number | "unlimited",
    steps: readonly ((rig: Rig) => Promise<void> | void)[],
  ): Promise<void> {
    rig = await Rig.start("scaled", (folder) => parts(folder, count, rate));
    const current = rig;
    const path = join(current.folder, "once.jsonl");
    const size = Buffer.byteLength('{"sequence":1}\n');
    for (const [index, step] of steps.entries()) {
      await poll(() => sizeOf(path) >= (size * count * (index + 1)) / (steps.length + 3) || current.finished);
      expect(current.finished, `all was over before step ${index + 1}`).toBe(false);
      await step(current);
    }
    await poll(() => current.finished);
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    const numbers = lines.map((line) => (JSON.parse(line) as { sequence: number }).sequence).sort((a, b) => a - b);
    const differs = numbers.findIndex((number, index) => number !== index + 1);
    expect({ differs, length: numbers.length }).toEqual({ differs: -1, length: count });
    await poll(() =>
      current.pipeline().then(
        ({ state }) => state === "completed",
        () => false,
      ),
    );
    expect(current.crashes).toEqual([]);
    passed = true;
  }

  const to = (replicas: number) => (current: Rig) => current.scale("numbers", replicas);
  const kill = (name: string) => (current: Rig) => current.kill(name);

  it("gives each event once, from 2 instances to 1 and to 3", async () => {
    await scaled(6_000, 500, [to(1), to(3)]);
  });

  it("gives each event once at full speed, from 2 to 1, 3 and 2, with kills in between", async () => {
    await scaled(400_000, "unlimited", [
      kill("numbers-2"),
      to(1),
      kill("numbers-1"),
      to(3),
      kill("control-plane"),
      kill("numbers-3"),
      to(2),
      kill("numbers-1"),
      kill("once-1"),
      to(4),
      kill("control-plane"),
      to(1),
      kill("numbers-1"),
    ]);
  });

  it("gives each event once when it is scaled away and back before anybody has had time to hand anything over", async () => {
    await scaled(200_000, "unlimited", [to(1), to(5), to(2), to(4), to(1), to(3)]);
  });
});

function parts(folder: string, count: number, rate: number | "unlimited"): Part[] {
  return [
    { spec: { id: "numbers", type: "source", replicas: 2 }, run: "generator", config: { count, rate } },
    {
      spec: { id: "once", type: "sink", inputs: [{ from: "numbers", types: [] }] },
      run: "file",
      config: { path: join(folder, "once.jsonl"), remember: 1_000_000 },
    },
  ];
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}
