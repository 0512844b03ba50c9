import { describe, expect, it } from "vitest";
import { chooseSteps, FIRST } from "./choose-steps.ts";
import { problemOf } from "./config.ts";
import { applyEdit } from "./edits.ts";
import { Random } from "./random.ts";
import { kindOf } from "./steps.ts";

const abilities = { disks: ["small", "state"], images: true, engine: true } as const;

describe("the choice of steps", () => {
  it("is the same for the same seed, and another for another", () => {
    const chosen = (seed: number): unknown => chooseSteps(new Random(seed), 30, abilities);
    expect(chosen(5)).toEqual(chosen(5));
    expect(chosen(6)).not.toEqual(chosen(5));
  });

  it("edits a file that stays valid", () => {
    for (let seed = 1; seed <= 60; seed++) {
      let config = FIRST;
      for (const step of chooseSteps(new Random(seed), 30, abilities)) {
        if (step.kind !== "edit") continue;
        const next = applyEdit(config, step.edit);
        expect(next, JSON.stringify(step)).toBeDefined();
        expect(problemOf(next!)).toBeUndefined();
        config = next!;
      }
    }
  });

  it("comes to everything that can be done", () => {
    const kinds = new Set<string>();
    for (let seed = 1; seed <= 50; seed++) {
      for (const step of chooseSteps(new Random(seed), 30, abilities)) kinds.add(kindOf(step));
    }
    expect([...kinds].sort()).toEqual([
      "edit add",
      "edit buffer",
      "edit environment",
      "edit image",
      "edit on_error",
      "edit partition_by",
      "edit remove",
      "edit rename",
      "edit replicas",
      "edit rewire",
      "edit typed",
      "edit types",
      "edit with",
      "engine: SIGKILL",
      "engine: SIGTERM",
      "freeze",
      "full disk: small",
      "full disk: state",
      "interrupt",
      "kill component",
      "kill control plane",
      "restart",
      "scale",
      "start",
      "stop",
      "up-against-down",
    ]);
  });

  it("does what cannot be done here never", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const steps = chooseSteps(new Random(seed), 30, { disks: [], images: false, engine: false });
      expect(steps.filter(({ kind }) => kind === "fill-disk" || kind === "restart-engine")).toEqual([]);
    }
  });
});
