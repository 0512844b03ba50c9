import { describe, expect, it } from "vitest";
import { fixFor, meantChoice } from "./meant-value.ts";

describe("the fix of a wrong value", () => {
  it.each([
    [["secrets", "a", "command"], "op  read x://y", "a list of strings", 'Write `command: [op, read, "x://y"]`.'],
    [["secrets", "a", "command"], "sh -c 'a b'", "a list of strings", `Write \`command: ["sh -c 'a b'"]\`.`],
    [
      ["sources", "a", "with"],
      ["rate", 5, "count", 3],
      "a mapping of settings",
      "Write `with: { rate: 5, count: 3 }`.",
    ],
    [
      ["sources", "a", "with"],
      ["rate=5", "url=x=y"],
      "a mapping of settings",
      'Write `with: { rate: 5, url: "x=y" }`.',
    ],
    [["sources", "a", "with"], [{ rate: 5 }], "a mapping of settings", "Write `with: { rate: 5 }`."],
    [
      ["sinks"],
      [{ uses: "stdout" }],
      "a mapping",
      "Write each item as `<id>:` with its keys indented below it, without `-`.",
    ],
    [["buffer"], "disk", "a mapping", "Write `buffer: { type: disk }`."],
    [["environment", 0], "B: 2", "`NAME=value`", "Write `B=2`."],
    [["environment", 0], "B : two words", "`NAME=value`", 'Write `"B=two words"`.'],
    [["environment", 0], { B: 2 }, "`NAME=value`", "Write `B=2`."],
    [["environment", 0], ["B"], "`NAME=value`", "Write `NAME=value`."],
    [["interval"], 5, "a duration", "Add a unit: `interval: 5s`."],
  ])("at %j for %j is what was meant", (path, value, expected, fix) => {
    expect(fixFor(path, value, expected, true)).toBe(fix);
  });

  it.each([" ", "a", "a:", ".", "\n", "\t "])("is said at once of a long value, without the value: %j", (unit) => {
    const value = `B${unit.repeat(200_000)}`;
    expect(fixFor(["environment", 0], value, "`NAME=value`", false)).toBe("Write `NAME=value`.");
    expect(fixFor(["command"], value, "a list of strings", true)).toBe("Write a list of strings.");
  });

  it("knows the words of other tools, where what they mean can be chosen", () => {
    expect(meantChoice("Skip", ["fail", "drop"])).toBe("drop");
    expect(meantChoice("skip", ["fail"])).toBeUndefined();
    expect(meantChoice("constructor", ["fail"])).toBeUndefined();
  });
});
