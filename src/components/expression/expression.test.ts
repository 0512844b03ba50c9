import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasCode } from "../../foundation/errors.ts";
import { ExpressionCompiler } from "./expression.ts";
import { toJson } from "./to-json.ts";

const compiler = new ExpressionCompiler({
  payload: "dyn",
  type: "string",
  metadata: "map<string, string>",
  timestamp: "dyn",
});

const scope = {
  payload: {
    mag: 4.5,
    whole: 4,
    text: "x",
    nothing: null,
    list: [1, 2, 3],
    nested: { deep: 1 },
    time: 1517966773840,
  },
  event_type: "quake",
  metadata: { region: "eu" },
  timestamp: null,
};

function evaluate(text: string): unknown {
  return toJson(compiler.mustCompile(text).evaluate(scope));
}

describe("an expression", () => {
  it.each([
    ["payload.mag >= 4.5", true],
    ["payload.mag >= 4", true],
    ["payload.whole >= 4.0", true],
    ["payload.whole == 4", true],
    ["4 == payload.whole", true],
    ["payload.whole in [3, 4]", true],
    ["payload.whole % 2 == 0", true],
    ["payload.whole * 2 + 1", 9],
    ["2 * payload.whole + 1", 9],
    ["1 + payload.mag", 5.5],
    ["size(payload.list) * 2.5", 7.5],
    ["size(payload.list) == payload.whole - 1", true],
    ["payload.list == [1, 2, 3]", true],
    ["[1, 2, 3] == payload.list", true],
  ])("mixes whole numbers and fractions freely: %s", (text, value) => {
    expect(evaluate(text)).toBe(value);
  });

  it.each([
    ["type == 'quake'", true],
    ["has(payload.mag) && type.startsWith('qu')", true],
    ["payload.list.exists(n, n > 2 && type == 'quake')", true],
    ["payload.list.map(n, type)", ["quake", "quake", "quake"]],
    ["{'t': type, 'l': [type]}", { t: "quake", l: ["quake"] }],
    ["type(payload.text) == string", true],
  ])("reads `type` as the event's type, and type(…) as CEL's function: %s", (text, value) => {
    expect(evaluate(text)).toEqual(value);
  });

  it.each([
    ["default(payload.absent, 3)", 3],
    ["default(payload.absent.deeper.still, 'none')", "none"],
    ["default(payload.nothing, 0) > 2", false],
    ["default(payload.list[7], -1)", -1],
    ["default(payload.mag, 0)", 4.5],
    ["default(metadata.absent, 'x')", "x"],
    ["has(payload.absent)", false],
    ["payload.?absent.orValue(1)", 1],
    ["timestamp == null", true],
  ])("lets what is missing be asked about: %s", (text, value) => {
    expect(evaluate(text)).toBe(value);
  });

  it.each(["payload.absent > 4", "payload.nothing > 4", "payload.text > 4", "default(payload.text > 4, true)"])(
    "fails on what is not there or of another kind, and says where: %s",
    (text) => {
      const expression = compiler.mustCompile(text);
      let failure: unknown;
      try {
        expression.evaluate(scope);
      } catch (error) {
        failure = error;
      }
      expect(hasCode(failure, "components/expression-failed") && failure.message).toMatch(/\(at character \d+\)$/);
      expect(hasCode(failure, "components/expression-failed") && failure.message).toContain(`'${text}'`);
    },
  );

  it.each([
    ["payload.mag >=", 14],
    ["payload.mag > 1 && magnitude > 2", 19],
    ["type == 4", 0],
    ["true && payload.text.nosuch()", 8],
  ])("that cannot be compiled is a problem with its offset: %s", (text, offset) => {
    const compiled = compiler.compile(text);
    expect(compiled).toMatchObject({ ok: false });
    expect(!compiled.ok && compiled.problem.offset).toBe(offset);
  });

  it.each([
    ["payload.mag => 4", "write `payload.mag >= 4`"],
    ["payload.mag =< 4", "write `payload.mag <= 4`"],
    ["payload.mag = 4", "write `payload.mag == 4`"],
    ["payload.mag === 4", "write `payload.mag == 4`"],
    ["payload.mag !== 4", "write `payload.mag != 4`"],
    ["payload.mag <> 4", "write `payload.mag != 4`"],
    ["payload.a and payload.b OR payload.c", "write `payload.a && payload.b || payload.c`"],
    ["payload.a & payload.b", "write `payload.a && payload.b`"],
    ["payload.a | payload.b", "write `payload.a || payload.b`"],
    ["not payload.a", "write `!payload.a`"],
    ["not payload.a == 1 and payload.b", "write `!(payload.a == 1) && payload.b`"],
    ["payload.text =~ 'x'", "write `payload.text.matches('x')`"],
    ["payload.text !~ /a.b/", "write `!payload.text.matches('a.b')`"],
    ["payload.n in (1, 2)", "write `payload.n in [1, 2]`"],
    ["payload.n not in (1, 2)", "write `!(payload.n in [1, 2])`"],
    ["payload.list.exists(x => x = 1)", "write `payload.list.exists(x, x == 1)`"],
    ["payload.list.some((x) => x > 1)", "write `payload.list.exists(x, x > 1)`"],
    ["payload?.a?.b == 1", "write `default(payload.a.b, null) == 1`"],
    ["payload?.a ?? 3", "write `default(payload.a, 3)`"],
    ["n > 1", "write `payload.n > 1`, or use one of metadata, payload, timestamp and type"],
    ["event.n > 1", "write `payload.n > 1`"],
    ["event.type == 'x'", "write `type == 'x'`"],
    ["$.n > 1", "write `payload.n > 1`"],
    [".n > 1", "write `payload.n > 1`"],
    ["$.id == 1", "write `payload.id == 1`"],
    [
      "n > 1 ? a : b",
      "write `payload.n > 1 ? payload.a : payload.b`, or use one of metadata, payload, timestamp and type",
    ],
    ["len(payload.list) > 1", "write `size(payload.list) > 1`"],
    ["payload.text.toLowerCase() == 'x'", "write `payload.text.lowerAscii() == 'x'`"],
    ["payload.a is null", "write `payload.a == null`"],
    ["payload.a is not null", "write `payload.a != null`"],
    ["payload.a != None", "write `payload.a != null`"],
    ["payload.a == True", "write `payload.a == true`"],
    ["payload.text like 'x%'", "write `payload.text.startsWith('x')`"],
    ["payload.text not like '%x'", "write `!payload.text.endsWith('x')`"],
    ["payload.text like '%x%'", "write `payload.text.contains('x')`"],
    ["payload.text like 'a.%b_'", "write `payload.text.matches('^a[.].*b.$')`"],
    ["{{ payload.n }} > 1", "write `payload.n > 1`"],
    ["payload.text = 'a and b = c'", "write `payload.text == 'a and b = c'`"],
    ["paylod.n = 1", "write `payload.n == 1`"],
    ["'a' + 1", "use values of matching types, or convert them: `string(…)`, `int(…)`"],
    ["type == 'quake", "add the closing quote"],
    ["has(payload.mag", "add the missing `)`"],
    ["payload.mag >=", "complete the expression"],
    ["size(1)", "check the arguments of `size`"],
  ])("with a common mistake comes with its fix: %s", (text, fix) => {
    expect(compiler.compile(text)).toMatchObject({ ok: false, problem: { fix } });
  });

  it.each(["payload.items[?(@.x)]", "payload.x.or(1)", "payload.a ~ 1", "nosuch(payload.a) = 1"])(
    "comes without what would not compile either: %s",
    (text) => {
      const compiled = compiler.compile(text);
      expect(compiled.ok ? "" : (compiled.problem.fix ?? "")).not.toContain("write");
    },
  );

  it("repairs what texts say in none", () => {
    const texts = fc.string().map((text) => `'${text.replaceAll(/[\\']/g, "\\$&").replaceAll(/[\r\n]/g, " ")}'`);
    fc.assert(
      fc.property(texts, (text) => {
        const compiled = compiler.compile(`n = ${text}`);
        if (compiled.ok || compiled.problem.fix?.startsWith("write") !== true) return;
        expect(compiled.problem.fix).toBe(
          `write \`payload.n == ${text}\`, or use one of metadata, payload, timestamp and type`,
        );
      }),
    );
    expect(compiler.compile("n = 'x'")).toMatchObject({
      problem: { fix: "write `payload.n == 'x'`, or use one of metadata, payload, timestamp and type" },
    });
  });

  it.each([
    ["has(payload.mag", "Expected `)`, got end of expression"],
    ["payload..mag", "Expected identifier, got `.`"],
    ["payload.mag >=", "Unexpected token: end of expression"],
  ])("names symbols instead of tokens of the parser: %s", (text, message) => {
    expect(compiler.compile(text)).toMatchObject({ ok: false, problem: { message } });
  });

  it.each([
    ["paylod.mag > 4", "paylod", "payload"],
    ["type.startWith('qu')", "startWith", "startsWith"],
    ["siz(payload.list)", "siz", "size"],
  ])("with an unknown name comes with the known ones: %s", (text, name, known) => {
    expect(compiler.compile(text)).toMatchObject({
      ok: false,
      problem: { unknown: { name, known: expect.arrayContaining([known]) } },
    });
  });

  it.each([
    ["timestamp(payload.time / 1000)", "2018-02-07T01:26:13.840Z"],
    ["string(timestamp(payload.time / 1000)).substring(0, 10)", "2018-02-07"],
    ["duration('90s')", "90s"],
    ["b'hi'", "aGk="],
    ["9007199254740993", "9007199254740993"],
    ["7u", 7],
    ["{'a': [1, {'b': 2}], 'kept': payload.nested}", { a: [1, { b: 2 }], kept: { deep: 1 } }],
  ])("gives JSON: %s", (text, value) => {
    expect(evaluate(text)).toEqual(value);
  });

  it("does not reach into JavaScript", () => {
    for (const text of ["payload.constructor", "payload.__proto__", "payload.text.length"]) {
      expect(() => compiler.mustCompile(text).evaluate(scope)).toThrow();
    }
  });
});

describe("toJson", () => {
  it("returns JSON values as they are, without copying", () => {
    expect(toJson(scope.payload)).toBe(scope.payload);
  });
});
