/** How to fix the mistake that the parser reports in the expression `text`; undefined if it is not a common one. */
export function expressionFix(
  text: string,
  problem: { readonly message: string; readonly offset: number },
): string | undefined {
  const { message, offset } = problem;
  const written = operatorAt(text, offset);
  const operator = operators[written];
  if (operator !== undefined && message.startsWith("Unexpected"))
    return `use \`${operator}\` instead of \`${written}\``;
  if (message === "Unterminated string") return "add the closing quote";
  const missing = symbols[/^Expected (\w+), got EOF$/.exec(message)?.[1] ?? ""];
  if (missing !== undefined) return `add the missing \`${missing}\``;
  if (message === "Unexpected token: EOF") return "complete the expression";
  if (message.startsWith("no such overload"))
    return "use values of matching types, or convert them: `string(…)`, `int(…)`";
  return undefined;
}

/** What other languages write, and CEL's operator for it. */
const operators: Readonly<Record<string, string | undefined>> = {
  "=": "==",
  "===": "==",
  "=>": ">=",
  "=<": "<=",
  "!==": "!=",
  "<>": "!=",
  "&": "&&",
  "|": "||",
  and: "&&",
  or: "||",
  not: "!",
};

/** The parser's message with the names of its tokens replaced by what they stand for, such as `)` for RPAREN. */
export function plainMessage(message: string): string {
  const tokens = /^(Expected |Unexpected token: )([A-Z]+)(?:(, got )([A-Z]+))?$/.exec(message);
  if (tokens === null) return message;
  const [, start = "", first = "", join = "", second = ""] = tokens;
  return `${start}${plainToken(first)}${join}${second === "" ? "" : plainToken(second)}`;
}

function plainToken(name: string): string {
  const symbol = symbols[name];
  if (symbol !== undefined) return `\`${symbol}\``;
  return name === "EOF" ? "end of expression" : name.toLowerCase();
}

const symbols: Readonly<Record<string, string | undefined>> = {
  EQ: "==",
  NE: "!=",
  LT: "<",
  LE: "<=",
  GT: ">",
  GE: ">=",
  AND: "&&",
  OR: "||",
  NOT: "!",
  IN: "in",
  PLUS: "+",
  MINUS: "-",
  MULTIPLY: "*",
  DIVIDE: "/",
  MODULO: "%",
  LPAREN: "(",
  RPAREN: ")",
  LBRACKET: "[",
  RBRACKET: "]",
  LBRACE: "{",
  RBRACE: "}",
  DOT: ".",
  COMMA: ",",
  COLON: ":",
  QUESTION: "?",
};

/** The word or the run of operator characters at `offset`; the word before it when that is `not`. */
function operatorAt(text: string, offset: number): string {
  if (/\bnot\s+$/.test(text.slice(0, offset))) return "not";
  const word = /^[a-z]+/.exec(text.slice(offset))?.[0];
  if (word !== undefined) return word;
  const before = /[=!<>&|]*$/.exec(text.slice(0, offset))?.[0] ?? "";
  const after = /^[=!<>&|]*/.exec(text.slice(offset))?.[0] ?? "";
  return before + after;
}
