import { describe, expect, it } from "vitest";
import { type JoinState, join, use } from "./joins.ts";
import type { InstanceName } from "./names.ts";
import { linkOf, MAX_STEP, newChain, serialOf } from "./serial.ts";

const who: InstanceName = { role: "joining", pipeline: "p", component: "a", instance: "a-1" };
const started = "4000000000000001";
const at = (step: number, chain = started) => ({ chain, step });
const code = (name: string) => expect.objectContaining({ code: `identity/${name}`, kind: "unauthenticated" });

/** The state after these steps were shown, one after the other. */
function stateAfter(...shown: readonly ("use" | number)[]): JoinState {
  let state: JoinState | undefined;
  for (const what of shown) {
    state = what === "use" ? use(who, at(state?.step ?? 1), started, state) : join(who, at(what), started, state);
  }
  if (state === undefined) throw new Error("nothing was shown");
  return state;
}

describe("a joining certificate", () => {
  it("is answered with what joins the next time", () => {
    expect(stateAfter(0)).toEqual({ chain: started, step: 1, joinedWith: 0, isConfirmed: false });
    expect(stateAfter(0, "use", 1, "use", 2)).toEqual({ chain: started, step: 3, joinedWith: 2, isConfirmed: false });
  });

  it("is good for nothing once its answer was used", () => {
    const state = stateAfter(0, "use");
    expect(() => join(who, at(0), started, state)).toThrow(code("used"));
  });

  it("is good for nothing once the one that came with its answer was used", () => {
    const state = stateAfter(0, 1);
    expect(() => join(who, at(0), started, state)).toThrow(code("used"));
  });

  it("is answered again while its answer may have been lost, and the answer before is void", () => {
    const state = stateAfter(0, 0, 0);
    expect(state).toMatchObject({ step: 3, joinedWith: 0, isConfirmed: false });
    expect(() => use(who, at(2), started, state)).toThrow(code("superseded"));
    expect(() => join(who, at(2), started, state)).toThrow(code("used"));
    expect(use(who, at(3), started, state)).toMatchObject({ step: 3, isConfirmed: true });
    expect(join(who, at(3), started, state)).toMatchObject({ step: 4, joinedWith: 3 });
  });

  it("ends what the program before was working with", () => {
    const state = stateAfter(0, "use", 1);
    expect(() => use(who, at(1), started, state)).toThrow(code("superseded"));
  });

  it("is good for nothing once the driver has begun another chain, whether that was used or not", () => {
    const other = "4000000000000002";
    const state = stateAfter(0, "use");
    expect(() => join(who, at(1), other, state)).toThrow(code("superseded"));
    const next = join(who, at(0, other), other, state);
    expect(next).toEqual({ chain: other, step: 1, joinedWith: 0, isConfirmed: false });
    expect(() => join(who, at(1), other, next)).toThrow(code("superseded"));
    expect(() => use(who, at(1), other, next)).toThrow(code("superseded"));
  });

  it("is good for nothing where the driver has started no such instance", () => {
    expect(() => join(who, at(0), undefined, undefined)).toThrow(code("superseded"));
  });

  it("is believed where nothing is remembered, so that an instance outlives a store that was lost", () => {
    expect(join(who, at(7), started, undefined)).toMatchObject({ step: 8, joinedWith: 7 });
    expect(use(who, at(7), started, undefined)).toEqual({ chain: started, step: 7, joinedWith: 6, isConfirmed: true });
  });

  it("is not believed, nor what it brought, where nothing is remembered but that the driver has begun another chain, or none", () => {
    for (const begun of ["4000000000000002", undefined]) {
      expect(() => join(who, at(7), begun, undefined)).toThrow(code("superseded"));
      expect(() => use(who, at(7), begun, undefined)).toThrow(code("superseded"));
    }
  });

  it("has no successor at the end of numbers", () => {
    expect(() => join(who, at(MAX_STEP), started, undefined)).toThrow(code("used"));
  });
});

describe("a working certificate", () => {
  it("changes nothing when it is used again", () => {
    const state = stateAfter(0, "use");
    expect(use(who, at(1), started, state)).toBe(state);
  });

  it("of a chain that has not joined is good for nothing", () => {
    expect(() => use(who, at(1, "4000000000000002"), started, stateAfter(0, "use"))).toThrow(code("superseded"));
  });
});

describe("a serial number", () => {
  it("says the chain and the step, and is another one each time", () => {
    const link = { ...newChain(), step: 258 };
    const serials = [serialOf(link), serialOf(link)];
    expect(new Set(serials).size).toBe(2);
    for (const serial of serials) expect(linkOf(serial.toUpperCase())).toEqual(link);
    expect(serials[0]).toMatch(/^[4-7][0-9a-f]{15}00000102[0-9a-f]{16}$/);
  });

  it("of other certificates says nothing", () => {
    expect(linkOf("4a")).toBeUndefined();
    expect(linkOf("")).toBeUndefined();
  });
});
