/** What is wrong or remarkable about one interpolation, at an offset of the text that holds it. */
export interface InterpolationFinding {
  readonly code: "pipeline/invalid-interpolation" | "pipeline/required-variable" | "pipeline/unset-variable";
  readonly message: string;
  readonly fix: string;
  /** In characters of the text. */
  readonly offset: number;
  readonly length: number;
}

export interface Interpolation {
  readonly value: string;
  readonly findings: readonly InterpolationFinding[];
}

type Lookup = (variable: string) => string | undefined;

const nameStart = /[A-Za-z_]/;
const name = /[A-Za-z_][A-Za-z0-9_]*/y;
const operator = /:-|:\?|:\+|-|\?|\+/y;

/**
 * Replaces `$VAR`, `${VAR}`, `${VAR:-default}`, `${VAR-default}`, `${VAR:?error}`, `${VAR?error}`,
 * `${VAR:+replacement}`, `${VAR+replacement}` and `$$`, with the meaning they have in Compose; what follows an operator
 * is interpolated too. A dollar sign before anything else stays. A variable that is unset and has no default is empty and
 * found as `pipeline/unset-variable`. Pure; never throws.
 */
export function interpolate(text: string, lookup: Lookup): Interpolation {
  const reader = new Reader(text, lookup);
  return { value: reader.read(false, true), findings: reader.findings };
}

class Reader {
  readonly findings: InterpolationFinding[] = [];
  readonly #text: string;
  readonly #lookup: Lookup;
  #at = 0;

  constructor(text: string, lookup: Lookup) {
    this.#text = text;
    this.#lookup = lookup;
  }

  /** Reads to the end, or to the brace that closes the surrounding expression. Finds nothing about unused branches. */
  read(inBraces: boolean, used: boolean, depth = 0): string {
    let value = "";
    let plainBraces = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at];
      if (character === "$") {
        value += this.#dollar(used, depth);
        continue;
      }
      if (inBraces && character === "{") plainBraces++;
      if (inBraces && character === "}") {
        if (plainBraces === 0) return value;
        plainBraces--;
      }
      value += character;
      this.#at++;
    }
    return value;
  }

  #dollar(used: boolean, depth: number): string {
    const start = this.#at;
    const next = this.#text[start + 1];
    if (next === "$") {
      this.#at += 2;
      return "$";
    }
    if (next === "{") return this.#braced(start, used, depth);
    if (next !== undefined && nameStart.test(next)) {
      const variable = this.#match(name, start + 1);
      this.#at = start + 1 + variable.length;
      return this.#plain(variable, start, used);
    }
    this.#at++;
    return "$";
  }

  #braced(start: number, used: boolean, depth: number): string {
    const variable = this.#match(name, start + 2);
    if (variable === "") return this.#invalid(start, 2, "`${` must be followed by a variable name");
    if (depth > 20) return this.#invalid(start, 2, "The expression is nested too deeply");
    this.#at = start + 2 + variable.length;
    if (this.#text[this.#at] === "}") {
      this.#at++;
      return this.#plain(variable, start, used);
    }
    const operation = this.#match(operator, this.#at);
    if (operation === "") {
      const closed = this.#at < this.#text.length;
      const message = closed
        ? `\`\${${variable}\` is followed by \`${this.#text[this.#at]}\`, which is not an operator`
        : `\`\${${variable}\` is not closed`;
      return this.#invalid(start, this.#at - start, message);
    }
    this.#at += operation.length;
    const current = this.#lookup(variable);
    const present = operation.startsWith(":") ? current !== undefined && current !== "" : current !== undefined;
    const kind = operation.at(-1);
    const operandUsed = used && (kind === "+" ? present : !present);
    const operand = this.read(true, operandUsed, depth + 1);
    if (this.#text[this.#at] !== "}") {
      this.#at = this.#text.length;
      return this.#invalid(start, this.#text.length - start, `\`\${${variable}${operation}\` is not closed`, false);
    }
    this.#at++;
    if (kind === "+") return present ? operand : "";
    if (present) return current ?? "";
    if (kind === "-") return operand;
    if (used) {
      this.findings.push({
        code: "pipeline/required-variable",
        message: `The variable \`${variable}\` ${current === undefined ? "is not set" : "is empty"}${operand === "" ? "" : `: ${operand}`}`,
        fix: `Set ${variable} in the environment or in the .env file.`,
        offset: start,
        length: this.#at - start,
      });
    }
    return "";
  }

  #plain(variable: string, start: number, used: boolean): string {
    const value = this.#lookup(variable);
    if (value !== undefined) return value;
    if (used) {
      this.findings.push({
        code: "pipeline/unset-variable",
        message: `The variable \`${variable}\` is not set; an empty string is used`,
        fix: `Set it, or add a default: \${${variable}:-…}.`,
        offset: start,
        length: this.#at - start,
      });
    }
    return "";
  }

  #invalid(start: number, length: number, message: string, advance = true): string {
    this.findings.push({
      code: "pipeline/invalid-interpolation",
      message,
      fix: "Write `$$` for a dollar sign, or `${NAME}` for a variable.",
      offset: start,
      length,
    });
    if (advance) this.#at = start + length;
    return this.#text.slice(start, start + length);
  }

  #match(pattern: RegExp, at: number): string {
    pattern.lastIndex = at;
    return pattern.exec(this.#text)?.[0] ?? "";
  }
}
