import { expect, test } from "vitest";
import { parseEnvFile } from "./env-file.ts";

const parse = (text: string, env: Record<string, string> = {}) =>
  Object.fromEntries(parseEnvFile(text, (name) => env[name]));

test("an env file takes comments, export, quotes and empty values", () => {
  expect(parse("# a comment\nA=1\nexport B=two words # why\nC='$A'\nD=\"x\\ny\"\nE=\n")).toEqual({
    A: "1",
    B: "two words",
    C: "$A",
    D: "x\ny",
    E: "",
  });
});

test("values refer to earlier ones and to the environment, which wins", () => {
  expect(parse("A=1\nB=${A}-${HOST:-none}\nC=$LATER\nLATER=x\n", { A: "env", HOST: "h" })).toEqual({
    A: "1",
    B: "env-h",
    C: "",
    LATER: "x",
  });
});
