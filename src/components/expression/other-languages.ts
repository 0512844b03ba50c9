/**
 * What people write in other languages, rewritten as CEL has it. The words of a text are left alone: `'a and b'` stays what it is.
 * Nothing here knows whether the result is right; whoever proposes it compiles it first.
 */
export function inCel(expression: string, variables: readonly string[]): string {
  const { code, texts } = withoutTexts(expression);
  let result = code;
  for (const [pattern, replacement] of rewrites) {
    result = result.replace(pattern, (...found) => replacement(found as string[], texts));
  }
  return withTexts(variables.includes("payload") ? belowPayload(result, variables) : result, texts);
}

/** `expression` with `other` wherever it reads the variable `name`. */
export function withVariable(expression: string, name: string, other: string): string {
  const { code, texts } = withoutTexts(expression);
  return withTexts(code.replace(new RegExp(String.raw`${START}${name}\b(?!\s*\()`, "g"), other), texts);
}

/** A text is replaced by its number, between two characters that no expression has. */
const OPEN = "\u{E000}";
const CLOSE = "\u{E001}";
const TEXT = `${OPEN}\\d+${CLOSE}`;
/** What a member operator binds to: a path with calls without arguments, a text or a list. */
const OPERAND = String.raw`(?:${TEXT}|\[[^\[\]]*\]|[\w$](?:[\w.$]|\?\.|\[[^\[\]]*\]|\(\))*)`;
/** Before a name that is not a member of something. */
const START = String.raw`(?<![\w.$?${CLOSE}\])])`;

type Rewrite = readonly [pattern: RegExp, replacement: (found: readonly string[], texts: readonly string[]) => string];

/** Always the same text. */
const to = (text: string) => () => text;

/** Names of other languages: those of functions, which are followed by a bracket, and those of values. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  len: "size",
  length: "size",
  count: "size",
  str: "string",
  String: "string",
  float: "double",
  Number: "double",
  parseFloat: "double",
  parseInt: "int",
  defined: "has",
  exists: "has",
  coalesce: "default",
};
const METHODS: Readonly<Record<string, string>> = {
  toLowerCase: "lowerAscii",
  lower: "lowerAscii",
  toUpperCase: "upperAscii",
  upper: "upperAscii",
  startswith: "startsWith",
  endswith: "endsWith",
  strip: "trim",
  match: "matches",
  some: "exists",
  any: "exists",
  every: "all",
};
const VALUES: Readonly<Record<string, string>> = {
  None: "null",
  nil: "null",
  NULL: "null",
  Null: "null",
  undefined: "null",
  True: "true",
  TRUE: "true",
  False: "false",
  FALSE: "false",
};

const named = (names: Readonly<Record<string, string>>, before: string, after: string): Rewrite => [
  new RegExp(`${before}(${Object.keys(names).join("|")})${after}`, "g"),
  ([, name = ""]) => names[name]!,
];

const rewrites: readonly Rewrite[] = [
  [/\{\{\s*(.*?)\s*\}\}/g, ([, inner = ""]) => inner],
  // `x => x > 1` as the argument of a macro.
  [/([(,]\s*)\(?(\w+)\)?\s*=>\s*/g, ([, before = "", name = ""]) => `${before}${name}, `],
  [/!==|<>/g, to("!=")],
  [/===/g, to("==")],
  [/=>/g, to(">=")],
  [/=</g, to("<=")],
  [
    new RegExp(String.raw`(${OPERAND})\s*(=~|!~)\s*(?:/([^/]+)/|(${OPERAND}))`, "g"),
    ([, left = "", operator = "", pattern, right = ""]) =>
      `${operator === "!~" ? "!" : ""}${left}.matches(${pattern === undefined ? right : `'${pattern}'`})`,
  ],
  [/(?<![=!<>])=(?![=~])/g, to("==")],
  [/(?<!&)&(?!&)/g, to("&&")],
  [/(?<!\|)\|(?!\|)/g, to("||")],
  [/(?<![.\w])and\b(?!\s*[.(]?$)/gi, to("&&")],
  [/(?<![.\w])or\b(?!\s*[.(]?$)/gi, to("||")],
  [
    new RegExp(String.raw`(${OPERAND})\s+not\s+in\s+(\([^()]*\)|${OPERAND})`, "gi"),
    ([, one = "", all = ""]) => `!(${one} in ${all})`,
  ],
  [/\bin\s*\(([^()]*)\)/gi, ([, items = ""]) => `in [${items}]`],
  [/\bis\s+not\b/gi, to("!=")],
  [/(?<=[\w\])])\s+is\s+/gi, to(" == ")],
  [
    new RegExp(String.raw`(${OPERAND})\s+(not\s+)?i?like\s+${OPEN}(\d+)${CLOSE}`, "gi"),
    ([, left = "", not = "", text = ""], texts) => `${not === "" ? "" : "!"}${like(left, texts[Number(text)]!)}`,
  ],
  [
    /(?<![.\w])not\s+(.+?)(?=\s*(?:&&|\|\||\)|$))/gi,
    ([, what = ""]) => (new RegExp(`^${OPERAND}$`).test(what) ? `!${what}` : `!(${what})`),
  ],
  [
    new RegExp(String.raw`(${OPERAND})\s*\?\?\s*(${OPERAND})`, "g"),
    ([, left = "", right = ""]) => `default(${left.replaceAll("?.", ".")}, ${right})`,
  ],
  named(VALUES, START, String.raw`\b(?!\s*\()`),
  named(FUNCTIONS, START, String.raw`(?=\s*\()`),
  named(METHODS, String.raw`(?<=\.)`, String.raw`(?=\s*\()`),
  [/[A-Za-z_][\w.]*(?:\?\.[\w.]+)+/g, ([path = ""]) => `default(${path.replaceAll("?.", ".")}, null)`],
];

/** `like` of SQL with `%` at the ends, and, where there are others, as a regular expression. */
function like(left: string, text: string): string {
  const [quote, pattern] = [text[0]!, text.slice(1, -1)];
  const [, first = "", middle = "", last = ""] = /^(%?)(.*?)(%?)$/s.exec(pattern) ?? [];
  if (/[%_]/.test(middle)) {
    const regex = pattern
      .replace(/[.*+?^${}()|[\]\\]/g, "[$&]")
      .replaceAll("%", ".*")
      .replaceAll("_", ".");
    return `${left}.matches(${quote}^${regex}$${quote})`;
  }
  const value = `${quote}${middle}${quote}`;
  if (first !== "" && last !== "") return `${left}.contains(${value})`;
  if (last !== "") return `${left}.startsWith(${value})`;
  if (first !== "") return `${left}.endsWith(${value})`;
  return `(${left} == ${value})`;
}

/** Names that stand for the event or its payload elsewhere. */
const EVENT = /^(?:\$|event|evt|e|msg|message|record|row|data|doc|body|item|input|this|value)$/;

/** `$.n`, `.n`, `event.n` and the like as `payload.n`, and as `id` where the event has what is named. */
function belowPayload(code: string, variables: readonly string[]): string {
  return code.replace(
    new RegExp(String.raw`${START}([A-Za-z]\w*|\$)?\.(\w+)`, "g"),
    (all, root: string | undefined, field: string) => {
      if (root !== undefined && (!EVENT.test(root) || variables.includes(root))) return all;
      return root !== "$" && root !== undefined && variables.includes(field) ? field : `payload.${field}`;
    },
  );
}

function withoutTexts(expression: string): { readonly code: string; readonly texts: readonly string[] } {
  const texts: string[] = [];
  const code = expression.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/gs, (text) => {
    texts.push(text);
    return `${OPEN}${texts.length - 1}${CLOSE}`;
  });
  return { code, texts };
}

function withTexts(code: string, texts: readonly string[]): string {
  return code.replace(new RegExp(`${OPEN}(\\d+)${CLOSE}`, "g"), (_, number: string) => texts[Number(number)]!);
}
