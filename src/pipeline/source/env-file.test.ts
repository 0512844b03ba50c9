import { describe, expect, test } from "vitest";
import { parseEnvFile } from "./env-file.ts";

function parse(text: string, env: Record<string, string> = {}): Record<string, string> {
  const { variables, findings } = parseEnvFile(text, (name) => env[name]);
  expect(findings).toEqual([]);
  return Object.fromEntries(variables);
}

function findings(text: string): readonly string[] {
  return parseEnvFile(text, () => undefined).findings.map(
    ({ code, offset, length }) => `${code} ${JSON.stringify(text.slice(offset, offset + length))}`,
  );
}

describe("an env file reads, as Compose does,", () => {
  // The examples of Compose's "Syntax for environment files", and what its parser does beyond them.
  test.for([
    ["VAR=VAL", "VAL"],
    ['VAR="VAL"', "VAL"],
    ["VAR='VAL'", "VAL"],
    ["VAR=VAL # comment", "VAL"],
    ["VAR=VAL# not a comment", "VAL# not a comment"],
    ["VAR=abc#def", "abc#def"],
    ["VAR=VAL\t# comment", "VAL"],
    ["VAR=# nothing", "# nothing"],
    ["VAR= # nothing", ""],
    ['VAR="VAL # not a comment"', "VAL # not a comment"],
    ['VAR="VAL" # comment', "VAL"],
    ["VAR='VAL' # comment", "VAL"],
    ["VAR='$OTHER'", "$OTHER"],
    ["VAR='${OTHER}'", "${OTHER}"],
    ["VAR='Let\\'s go!'", "Let's go!"],
    ['VAR="{\\"hello\\": \\"json\\"}"', '{"hello": "json"}'],
    ['VAR="some\\tvalue"', "some\tvalue"],
    ["VAR='some\\tvalue'", "some\\tvalue"],
    ["VAR=some\\tvalue", "some\\tvalue"],
    ['VAR="a\\nb\\r\\\\n"', "a\nb\r\\n"],
    ['VAR="\\$SET \\"x\\""', '$SET "x"'],
    ['VAR="\\d"', "\\d"],
    ['VAR="two\nlines"', "two\nlines"],
    ["VAR='two\nlines'", "two\nlines"],
    ["VAR=$SET", "set"],
    ['VAR="<${SET}>"', "<set>"],
    ["VAR=${NONE:-d}", "d"],
    ["VAR=^a$", "^a$"],
    ["VAR=$5", "$5"],
    ["VAR=a$$SET", "a$SET"],
    ["VAR=", ""],
    ['VAR=""', ""],
    ["VAR", undefined],
    ["SET", undefined],
    ["export VAR=VAL", "VAL"],
    ["  VAR = VAL  ", "VAL"],
    ["VAR: VAL", "VAL"],
    ["VAR=VAL\r", "VAL"],
    ["VAR=a=b", "a=b"],
    ["VAR='a' \nB=x", "a"],
    ["# VAR=x", undefined],
    ["  # VAR=x", undefined],
    ["VAR=it's", "it's"],
    ['VAR=a "b" c', 'a "b" c'],
  ] as const)("%s", ([line, expected]) => {
    expect(parse(`${line}\nZ=last`, { SET: "set" })).toMatchObject({ Z: "last" });
    expect(parse(line, { SET: "set" }).VAR).toBe(expected);
  });

  test("a bare name as that variable of the environment, and leaves it out where it is not set", () => {
    expect(parse("A\nexport B\nC\n", { A: "1", B: "" })).toEqual({ A: "1", B: "" });
  });

  test("names with dots, dashes and brackets, and `export` alone as a name", () => {
    expect(parse("a.b-c[0]=1\nexport=2\n")).toEqual({ "a.b-c[0]": "1", export: "2" });
  });

  test("references to earlier values and to the environment, which wins", () => {
    expect(parse("A=1\nB=${A}-${HOST:-none}\nC=${LATER-}\nLATER=x\n", { A: "env", HOST: "h" })).toEqual({
      A: "1",
      B: "env-h",
      C: "",
      LATER: "x",
    });
  });
});

describe("an env file has a mistake where", () => {
  test.for([
    ["A=1\nB='open\nC=2", 'pipeline/invalid-env-file "\'open"'],
    ['A="open', 'pipeline/invalid-env-file "\\"open"'],
    ["A B=1", 'pipeline/invalid-env-file "A B"'],
    ["just some words", 'pipeline/invalid-env-file "just some words"'],
    ["=1", 'pipeline/invalid-env-file "="'],
    ["A='x'y", 'pipeline/invalid-env-file "y"'],
    ["A=x${B", 'pipeline/invalid-interpolation "${B"'],
    ["A=${B:?give it}", 'pipeline/required-variable "${B:?give it}"'],
    ["A=p$ssword", 'pipeline/unset-variable "$ssword"'],
    ['A="a $ssword"', 'pipeline/unset-variable "\\"a $ssword\\""'],
  ] as const)("%s", ([text, expected]) => {
    expect(findings(text)).toEqual([expected]);
  });
});
