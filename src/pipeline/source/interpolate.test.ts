import { describe, expect, test } from "vitest";
import { interpolate } from "./interpolate.ts";

const env: Readonly<Record<string, string>> = { SET: "value", EMPTY: "", OTHER: "other", _a1: "under" };
const lookup = (name: string) => env[name];

describe("interpolation replaces, as Compose does,", () => {
  test.for([
    ["$SET", "value"],
    ["${SET}", "value"],
    ["a$SET-b", "avalue-b"],
    ["$_a1", "under"],
    ["${SET}${OTHER}", "valueother"],
    ["${SET:-d}", "value"],
    ["${EMPTY:-d}", "d"],
    ["${UNSET:-d}", "d"],
    ["${SET-d}", "value"],
    ["${EMPTY-d}", ""],
    ["${UNSET-d}", "d"],
    ["${UNSET-}", ""],
    ["${SET:?e}", "value"],
    ["${SET?e}", "value"],
    ["${EMPTY?e}", ""],
    ["${SET:+r}", "r"],
    ["${EMPTY:+r}", ""],
    ["${UNSET:+r}", ""],
    ["${SET+r}", "r"],
    ["${EMPTY+r}", "r"],
    ["${UNSET+r}", ""],
    ["$$SET", "$SET"],
    ["$$$SET", "$value"],
    ["$${SET}", "${SET}"],
    ["${UNSET:-${SET}}", "value"],
    ["${UNSET:-${EMPTY:-${OTHER}}}", "other"],
    ["${UNSET:-a$SET b}", "avalue b"],
    ["${SET:+<${OTHER}>}", "<other>"],
    ['${UNSET:-{"a": 1}}', '{"a": 1}'],
    ["${UNSET:-$$}", "$"],
    ["${UNSET:-http://x:1/?a=b}", "http://x:1/?a=b"],
    ["^a$", "^a$"],
    ["5 $ or $5", "5 $ or $5"],
    ["${UNSET:-a$}", "a$"],
    ["no dollar", "no dollar"],
    ["", ""],
  ] as const)("%s by %s", ([text, expected]) => {
    expect(interpolate(text, lookup)).toEqual({ value: expected, findings: [] });
  });
});

describe("interpolation finds", () => {
  test.for([
    ["a ${UNSET} b", "unset-variable", 2, 8],
    ["$UNSET", "unset-variable", 0, 6],
    ["${UNSET:?say}", "required-variable", 0, 13],
    ["x${EMPTY:?say}", "required-variable", 1, 13],
    ["${UNSET?}", "required-variable", 0, 9],
    ["${UNSET:-${ALSO:?}}", "required-variable", 9, 9],
    ["${}", "invalid-interpolation", 0, 2],
    ["${SET", "invalid-interpolation", 0, 5],
    ["${SET:-x", "invalid-interpolation", 0, 8],
    ["${SET!}", "invalid-interpolation", 0, 5],
    ["${SET:=x}", "invalid-interpolation", 0, 5],
  ] as const)("in %s: %s", ([text, slug, offset, length]) => {
    const { findings } = interpolate(text, lookup);
    expect(findings.map((finding) => [finding.code, finding.offset, finding.length])).toEqual([
      [`pipeline/${slug}`, offset, length],
    ]);
  });

  test("nothing about what is not used", () => {
    expect(interpolate("${SET:-${UNSET:?never}}", lookup).findings).toEqual([]);
    expect(interpolate("${UNSET:+$ALSO_UNSET}", lookup).findings).toEqual([]);
  });

  test("a mistake of form also in what is not used", () => {
    expect(interpolate("${SET:-${}", lookup).findings).toHaveLength(1);
  });

  test("the error text that the file gives", () => {
    expect(interpolate("${UNSET:?give me ${OTHER}}", lookup).findings[0]?.message).toContain("give me other");
  });

  test("nesting without end, instead of following it", () => {
    const { findings } = interpolate(`${"${A:-".repeat(5000)}x${"}".repeat(5000)}`, lookup);
    expect(findings.some((finding) => finding.code === "pipeline/invalid-interpolation")).toBe(true);
  });
});
