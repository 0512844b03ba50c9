import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { tellingLine } from "./telling-line.ts";

/** What a program of Node.js that ends with an error prints. */
function printed(program: string): readonly string[] {
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program], { encoding: "utf8" });
  return `${stdout}${stderr}`.split("\n");
}

const node = `node:fs:573
  return binding.open(
                 ^

Error: ENOENT: no such file or directory, open '/data'
    at Object.openSync (node:fs:573:18)
    at Timeout.f [as _onTimeout] (file:///app/main.mjs:2:15) {
  errno: -2,
  code: 'ENOENT',
  path: '/data'
}

Node.js v20.20.2
`;

const python = `Traceback (most recent call last):
  File "/app/main.py", line 4, in <module>
    g("a")
    ^^^^^^
ValueError: invalid literal for int() with base 10: 'a'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/main.py", line 6, in <module>
    raise RuntimeError("cannot read\\nthe settings") from e
RuntimeError: cannot read
the settings
`;

const java = `Exception in thread "main" java.lang.IllegalStateException: no table
\tat Main.run(Main.java:5)
\tat Main.main(Main.java:9)
`;

describe("the line that says why a program ended", () => {
  it.each([
    ["Node.js", node, "Error: ENOENT: no such file or directory, open '/data'"],
    [
      "Node.js, without what is above the stack",
      node.split("\n").slice(4).join("\n"),
      "Error: ENOENT: no such file or directory, open '/data'",
    ],
    ["Python", python, "RuntimeError: cannot read"],
    [
      "Python, of a syntax error",
      '  File "main.py", line 1\n    def (\n        ^\nSyntaxError: invalid syntax\n',
      "SyntaxError: invalid syntax",
    ],
    [
      "Python, of a module that is missing",
      "Traceback (most recent call last):\n  File \"main.py\", line 1, in <module>\nModuleNotFoundError: No module named 'nope'\n",
      "ModuleNotFoundError: No module named 'nope'",
    ],
    ["Java", java, 'Exception in thread "main" java.lang.IllegalStateException: no table'],
  ])("is the error of %s", (_, text, telling) => {
    expect(tellingLine(["ready", ...text.split("\n")])).toBe(telling);
  });

  it.each([
    ["an error that was thrown", 'throw new Error("several\\nlines", { cause: new Error("inner") })', "Error: several"],
    ["a promise without a catch", 'Promise.reject(new TypeError("no table"))', "TypeError: no table"],
    ["a text that was thrown", 'throw "no table"', "no table"],
    [
      "an error that was printed",
      'console.error(Object.assign(new RangeError("no table"), { code: "X" })); process.exit(1)',
      "RangeError: no table",
    ],
  ])("is that of this version of Node.js: %s", (_, program, telling) => {
    expect(tellingLine(printed(program))).toBe(telling);
  });

  it("is the last that is not blank where that is no part of a stack, also after an error that was overcome", () => {
    expect(tellingLine(["connecting", "no such table", " ", ""])).toBe("no such table");
    expect(tellingLine([...python.split("\n"), "tries again", "works", "is told to stop"])).toBe("is told to stop");
    expect(tellingLine([...node.split("\n"), "starting"])).toBe("starting");
    expect(tellingLine(["}"])).toBe("}");
    expect(tellingLine([])).toBe("");
  });
});
