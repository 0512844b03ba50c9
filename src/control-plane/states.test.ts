import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import type { ComponentState, PipelineState } from "../protocol/records.ts";
import { type InstanceState, instanceTransitions, moveInstance, movePipeline, pipelineTransitions } from "./states.ts";

const names = Object.keys(instanceTransitions) as ComponentState[];
const pipelineNames = Object.keys(pipelineTransitions) as PipelineState[];
const state = (name: ComponentState, since = 1, reason = ""): InstanceState => ({ name, since, reason });

describe("moving an instance", () => {
  it("goes where the table says, and nowhere else, naming both states", () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.constantFrom(...names), (from, to) => {
        const move = (): InstanceState => moveInstance("instance a-1", state(from, 1), state(to, 2));
        if (from === to || instanceTransitions[from].includes(to)) {
          expect(move().name).toBe(to);
          return;
        }
        expect(move).toThrow(FlowctlError);
        expect(move).toThrow(`instance a-1 cannot go from ${from} to ${to}`);
      }),
    );
  });

  it("keeps the age of a state that only gets another reason", () => {
    expect(moveInstance("a-1", state("degraded", 5, "slow"), state("degraded", 9, "slower"))).toEqual(
      state("degraded", 5, "slower"),
    );
  });

  it("leaves completed and failed only by a new start", () => {
    expect(instanceTransitions.completed).toEqual(["starting"]);
    expect(instanceTransitions.failed).toEqual(["starting"]);
    for (const name of names) if (name !== "starting") expect(instanceTransitions[name]).toContain("starting");
  });
});

describe("moving a pipeline", () => {
  it("goes where the table says, and nowhere else, naming both states", () => {
    for (const from of pipelineNames) {
      for (const to of pipelineNames) {
        const move = (): PipelineState => movePipeline("pipeline p", from, to);
        if (from === to || pipelineTransitions[from].includes(to)) expect(move()).toBe(to);
        else expect(move).toThrow(`pipeline p cannot go from ${from} to ${to}`);
      }
    }
  });
});
