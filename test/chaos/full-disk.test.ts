import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { type Part, poll, Rig } from "./rig.ts";

beforeAll(buildProgram);

const rejected = (folder: string): Part => ({
  spec: { id: "rejected", type: "sink" },
  run: "file",
  config: { path: join(folder, "rejected.jsonl") },
});

/** A full disk is no event's fault: no policy for bad events lets one go for it. */
it.each(["fail", "drop", "dead_letter"] as const)(
  "a sink whose disk is full ends with an error under on_error: %s, leaves whole lines, and has every event once when there is room again",
  async (action) => {
    const count = 20_000;
    let room: number | undefined = 64;
    const rig = await Rig.start("full-disk", (folder) => [
      {
        spec: { id: "numbers", type: "source" },
        run: "generator",
        config: { count, rate: "unlimited", template: { n: "sequence" } },
      },
      {
        spec: {
          id: "file",
          type: "sink",
          inputs: [{ from: "numbers", types: [] }],
          onError: { action, to: action === "dead_letter" ? "rejected" : "", retries: 0, backoffMs: 0 },
        },
        run: "file",
        config: { path: join(folder, "out.jsonl") },
        largestFile: () => room,
      },
      ...(action === "dead_letter" ? [rejected(folder)] : []),
    ]);
    const text = (): string => readFileSync(join(rig.folder, "out.jsonl"), "utf8");
    let passed = false;
    try {
      await poll(() => rig.crashes.length >= 2 || rig.finished);
      const whole = text();
      expect(whole.length).toBeLessThanOrEqual(64 * 1024);
      expect(whole === "" || whole.endsWith("}\n")).toBe(true);
      room = undefined;
      await poll(() => rig.finished);
      const numbers = text()
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { n: number }).n);
      expect(numbers).toEqual(Array.from({ length: count }, (_, index) => index + 1));
      expect(rig.crashes.every((crash) => crash.startsWith("file-1 exited 1"))).toBe(true);
      passed = true;
    } finally {
      await rig.close({ keep: !passed });
    }
  },
);
