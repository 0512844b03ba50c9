import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AssignedPartition, nextSteps } from "./assignment.ts";

const everybody = { isReady: () => true, isGone: () => false };

function partition(key: string, owner?: string, more: Partial<AssignedPartition> = {}): AssignedPartition {
  return { key, owner, revoking: false, declared: true, finished: false, ...more };
}

describe("the assignment of partitions", () => {
  it("gives each wanted instance as many, those included that are still to come", () => {
    const facts = { wanted: ["a", "b"], isReady: () => false, isGone: () => true };
    expect(nextSteps([partition("1"), partition("2"), partition("3")], facts)).toEqual([
      { type: "assign", key: "1", owner: "a" },
      { type: "assign", key: "2", owner: "b" },
      { type: "assign", key: "3", owner: "a" },
    ]);
  });

  it("takes from who reads only for one that is ready, and leaves the rest where it is", () => {
    const owned = ["1", "2", "3", "4"].map((key) => partition(key, "a"));
    const facts = { ...everybody, wanted: ["a", "b"] };
    expect(nextSteps(owned, { ...facts, isReady: (id) => id === "a" })).toEqual([]);
    expect(nextSteps(owned, facts)).toEqual([
      { type: "revoke", key: "3" },
      { type: "revoke", key: "4" },
    ]);
  });

  it("waits for an owner that is not wanted any more, unless it is gone", () => {
    const owned = [partition("1", "a"), partition("2", "b")];
    expect(nextSteps(owned, { ...everybody, wanted: ["a"] })).toEqual([{ type: "revoke", key: "2" }]);
    const revoking = [partition("1", "a"), partition("2", "b", { revoking: true })];
    expect(nextSteps(revoking, { ...everybody, wanted: ["a"] })).toEqual([]);
    expect(nextSteps(revoking, { ...everybody, wanted: ["a"], isGone: (id) => id === "b" })).toEqual([
      { type: "assign", key: "2", owner: "a" },
    ]);
  });

  it("leaves the partitions of a dead instance to its successor", () => {
    const owned = [partition("1", "a"), partition("2", "b")];
    expect(nextSteps(owned, { ...everybody, wanted: ["a", "b"], isGone: (id) => id === "b" })).toEqual([]);
  });

  it("moves nothing that is finished, and forgets what nobody declares once nobody reads it", () => {
    const facts = { ...everybody, wanted: ["a", "b"] };
    const old = { declared: false };
    expect(
      nextSteps([partition("1", "a", { finished: true }), partition("2", "a", { finished: true })], facts),
    ).toEqual([]);
    expect(nextSteps([partition("1", "a", old), partition("2", undefined, old)], facts)).toEqual([
      { type: "revoke", key: "1" },
      { type: "forget", key: "2" },
    ]);
  });

  it("comes to rest with equal shares, and moves no more than it has to", () => {
    const names = ["a", "b", "c", "d"];
    const owner = fc.option(fc.constantFrom(...names), { nil: undefined });
    fc.assert(
      fc.property(fc.array(owner, { maxLength: 14 }), fc.subarray(names, { minLength: 1 }), (owners, wanted) => {
        let now = owners.map((one, index) => partition(String(index), one));
        let moved = 0;
        for (let round = 0; ; round++) {
          expect(round).toBeLessThan(10);
          const steps = nextSteps(now, { ...everybody, wanted });
          if (steps.length === 0) break;
          now = now.map((one) => {
            const step = steps.find(({ key }) => key === one.key);
            if (step?.type === "assign") return partition(one.key, step.owner);
            if (step?.type !== "revoke") return one;
            moved++;
            // It is given back at once.
            return partition(one.key);
          });
        }
        const shares = wanted.map((id) => now.filter((one) => one.owner === id).length);
        expect(now.every((one) => one.owner !== undefined)).toBe(true);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
        // Whatever is on top of a larger share, and whatever the others have, has to move; nothing else does.
        const largest = Math.ceil(owners.length / wanted.length);
        const least = Math.floor(owners.length / wanted.length);
        const had = (id: string): number => owners.filter((one) => one === id).length;
        const strays = owners.filter((one) => one !== undefined && !wanted.includes(one)).length;
        const keepable = wanted.map(had).toSorted((x, y) => y - x);
        const extra = owners.length % wanted.length;
        const over = keepable.reduce((sum, n, i) => sum + Math.max(0, n - (i < extra ? largest : least)), 0);
        expect(moved).toBe(strays + over);
      }),
    );
  });
});
