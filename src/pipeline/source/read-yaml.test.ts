import { describe, expect, test } from "vitest";
import { ProblemList } from "../problem.ts";
import { readYaml } from "./read-yaml.ts";
import { positionOf, sourceFile } from "./source-file.ts";
import { keyPlace, nodeAt, toPlain, valuePlace } from "./source-node.ts";

function read(text: string) {
  const problems = new ProblemList();
  const root = readYaml(sourceFile("/p.yaml", "/", text), problems);
  return { root, codes: problems.sorted().map((problem) => problem.code) };
}

describe("reading YAML", () => {
  test("resolves aliases and merge keys, the mapping's own keys winning, then the first merged", () => {
    const { root, codes } = read(
      "a: &a { x: 1, y: 1 }\nb: &b { y: 2, z: 2 }\nc: { <<: [*a, *b], x: 0 }\nd: *a\ne: { <<: *a }\n",
    );
    expect(codes).toEqual([]);
    expect(root && toPlain(root)).toMatchObject({ c: { x: 0, y: 1, z: 2 }, d: { x: 1, y: 1 }, e: { x: 1, y: 1 } });
  });

  test("takes a quoted merge key as a key like any other", () => {
    const { root } = read('a: { "<<": x }\n');
    expect(root && toPlain(root)).toEqual({ a: { "<<": "x" } });
  });

  test("keeps keys that look like numbers, flags or nothing as texts", () => {
    const { root } = read("1: a\n01: b\ntrue: c\nnull: d\n");
    expect(root && Object.keys(toPlain(root) as object)).toEqual(["1", "01", "true", "null"]);
  });

  test("knows where merged values were written, and where they stand", () => {
    const { root } = read("a: &a\n  x: 1\nb:\n  <<: *a\n  y: [2, 3]\n");
    if (root === undefined) throw new Error("unreadable");
    expect(positionOf(valuePlace(root, ["b", "x"]))).toMatchObject({ line: 2, column: 6 });
    expect(positionOf(valuePlace(root, ["b", "y", 1]))).toMatchObject({ line: 5, column: 10, length: 1 });
    expect(positionOf(keyPlace(root, ["b", "y"]))).toMatchObject({ line: 5, column: 3, length: 1 });
    expect(positionOf(valuePlace(root, ["b", "no", "such"]))).toMatchObject({ line: 4, column: 3 });
    expect(nodeAt(root, ["b", "y", 7])).toBeUndefined();
  });

  test("counts columns in files with carriage returns and a byte order mark", () => {
    const { root } = read("\ufeffa: 1\r\nb: 2\r\n");
    expect(root && positionOf(valuePlace(root, ["b"]))).toMatchObject({ line: 2, column: 4, length: 1 });
  });

  test("never makes a prototype of a key", () => {
    const { root, codes } = read("__proto__: { polluted: true }\na: 1\n");
    expect(codes).toEqual(["pipeline/invalid-key"]);
    expect(root && (toPlain(root) as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test.for([
    ["brackets", "[".repeat(100_000)],
    ["braces with keys", "{a: ".repeat(50_000)],
    ["list indicators", "- ".repeat(50_000)],
    ["key indicators", "? ".repeat(50_000)],
    ["value indicators", ": ".repeat(50_000)],
    ["indentation", Array.from({ length: 1000 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
  ] as const)("survives %s nested without end", ([, text]) => {
    expect(read(text).codes).toEqual(["pipeline/too-deep"]);
  });

  test("survives anchors that nest deeper than brackets could", () => {
    const chain = Array.from({ length: 5000 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}]`).join("\n");
    expect(read(`a0: &a0 []\n${chain}\n`).codes).toContain("pipeline/alias-bomb");
  });

  test("lets a file use an alias as often as a person would", () => {
    const uses = Array.from({ length: 500 }, (_, index) => `k${index}: *a`).join("\n");
    expect(read(`a: &a { x: 1, y: 2, z: 3 }\n${uses}\n`).codes).toEqual([]);
  });

  test("says at once what is wrong with a long line", () => {
    for (const end of [":", "x", ""]) {
      const { codes } = read(`a:\n  uses:b${" ".repeat(300_000)}${end}\n  inputs: [c]\n`);
      expect(codes).toEqual(["pipeline/yaml-syntax"]);
    }
  });
});
