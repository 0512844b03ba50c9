import { expect, test } from "vitest";
import { ProblemList } from "../problem.ts";
import { placeInScalar } from "./place-in-scalar.ts";
import { readYaml } from "./read-yaml.ts";
import { positionOf, sourceFile } from "./source-file.ts";
import { nodeAt } from "./source-node.ts";

/** Where `needle` of the value of `k` is found to be. */
function placeOf(text: string, needle: string) {
  const root = readYaml(sourceFile("/p.yaml", "/", text), new ProblemList());
  const node = root === undefined ? undefined : nodeAt(root, ["k"]);
  if (node?.kind !== "scalar") throw new Error("no scalar");
  const { line, column } = positionOf(placeInScalar(node, String(node.value).indexOf(needle)));
  return `${line}:${column}`;
}

test.for([
  ["a plain text", "k: a > b\n", "1:6"],
  ["single quotes", "k: 'a > b'\n", "1:7"],
  ["double quotes", 'k: "a > b"\n', "1:7"],
  ["a literal block", "k: |\n  a\n    > b\n", "3:5"],
  ["a folded block", "k: >-\n  a\n  > b\n", "3:3"],
  ["a plain text over lines", "k: a\n  > b\n", "2:3"],
  ["escapes, where it is the whole text", 'k: "a\\t> b"\n', "1:4"],
] as const)("the place of a character is found in %s", ([, text, expected]) => {
  expect(placeOf(text, ">")).toBe(expected);
});
