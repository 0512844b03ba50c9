import { describe, expect, it } from "vitest";
import { idText, keepPosition, positionOf, storedText } from "./position.ts";

describe("a position", () => {
  it.each([0, -1.5, "", "a b", true, null, { file: "a", offset: 3 }, [1, [2]]])(
    "%j comes back as it was",
    (position) => {
      const kept = keepPosition(position);
      expect(positionOf(kept)).toEqual(position);
      expect(JSON.parse(storedText(kept))).toEqual(position);
      expect(idText(kept)).toBe(typeof position === "string" ? position : JSON.stringify(position));
    },
  );

  it("stays what it was when its author changes the object", () => {
    const position = { offset: 1 };
    const kept = keepPosition(position);
    position.offset = 2;
    expect(storedText(kept)).toBe('{"offset":1}');
    expect(positionOf(kept)).toEqual({ offset: 1 });
  });

  const circular: Record<string, unknown> = {};
  circular.self = circular;
  it.each([
    ["undefined", undefined],
    ["NaN", Number.NaN],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["a bigint", 1n],
    ["a function", () => 1],
    ["a symbol", Symbol("s")],
    ["an object that JSON cannot hold", circular],
    ["an object that is nothing in JSON", { toJSON: () => undefined }],
  ])("that is %s is refused, since it cannot be stored", (what, position) => {
    const error = (() => {
      try {
        keepPosition(position);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    expect(error).toMatchObject({ code: "sdk/position-invalid", kind: "invalid" });
    expect((error as Error).message).toContain(`the position of an event is ${what}`);
  });
});
