import { describe, expect, it } from "vitest";
import type { Done } from "./execute.ts";
import { report } from "./report.ts";
import type { RoundResult } from "./round.ts";
import type { Step } from "./steps.ts";

function round(done: readonly Done[], over: Partial<RoundResult> = {}): RoundResult {
  return {
    ...{ seed: 7, driver: "process", steps: [], done, problems: [], notes: [], calledAgain: 0, ms: 60_000 },
    verdict: { wrong: [], sent: 1_000, demanded: 5_000, repeated: 3, retried: 2, deadLetters: 1 },
    ...over,
  };
}

const kill: Step = { kind: "kill", instance: "first-1", settle: true };
const rename: Step = {
  ...{ kind: "edit", edit: { op: "rename", id: "first", to: "other" }, how: "killed", afterMs: 300, settle: true },
};

describe("the report", () => {
  it("counts what was done by its kind, and how up was called only where it came to that", () => {
    const text = report([
      round([
        { step: kill, outcome: "done", recoveredMs: 2_000 },
        { step: kill, outcome: "skipped" },
        { step: rename, outcome: "done", how: "killed", recoveredMs: 500 },
        { step: rename, outcome: "done", how: "once" },
      ]),
    ]);
    expect(text).toMatch(/^kill component +1 +0 +1 +2\.0 s, 2\.0 s \(1\)$/m);
    expect(text).toMatch(/^edit rename +2 +0 +0 +0\.5 s, 0\.5 s \(1\)$/m);
    expect(text).toMatch(/^up killed +1 +0 +0 +0\.5 s, 0\.5 s \(1\)$/m);
    expect(text).toContain("all together: 2.0 s, 2.0 s (2)");
  });

  it("says of all runs how long they took and what failed, those that came to nothing included", () => {
    const lost = { what: "lost", sink: "kept", source: "numbers", count: 4, examples: ["1"] } as const;
    const text = report([
      round([], { calledAgain: 2 }),
      round([], {
        seed: 8,
        problems: [{ what: "lost", detail: "" }],
        verdict: { wrong: [lost], sent: 10, demanded: 20, repeated: 0, retried: 0, deadLetters: 0 },
      }),
    ]);
    expect(text).toContain("minutes 2, runs 2, failed 1 (seed 8)");
    expect(text).toContain("events sent 1010, arrivals demanded 5020, lost 4, doubled 0");
    expect(text).toContain("up called again as it had failed 2");
  });
});
