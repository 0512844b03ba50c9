import { type InterpolationFinding, interpolate } from "./interpolate.ts";

/** A mistake or a doubtful value in an env file, at an offset of its text. */
export interface EnvFileFinding extends Omit<InterpolationFinding, "code"> {
  readonly code: InterpolationFinding["code"] | "pipeline/invalid-env-file";
}

export interface EnvFile {
  readonly variables: ReadonlyMap<string, string>;
  readonly findings: readonly EnvFileFinding[];
}

type Lookup = (variable: string) => string | undefined;

const nameCharacters = /[\p{L}\p{N}_.[\]-]+/uy;
const blanks = /[\t\v\f\r \u0085\u00a0]*/y;
const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  // Interpolation follows, for which this is a dollar sign.
  $: "$$",
  '"': '"',
  "\\": "\\",
};

/**
 * Reads the text of an env file by the rules of Compose. In values without quotes a comment begins with a blank and `#`;
 * these and double-quoted values are interpolated, with `lookup` over the variables above them in the file. Double quotes
 * have escapes such as `\n`, single quotes none but `\'`; both can hold line breaks. A name alone takes the value that
 * `lookup` has, if any. Pure; never throws: lines that cannot be understood are left out and found.
 */
export function parseEnvFile(text: string, lookup: Lookup): EnvFile {
  const reader = new Reader(text, lookup);
  reader.read();
  return reader;
}

class Reader implements EnvFile {
  readonly variables = new Map<string, string>();
  readonly findings: EnvFileFinding[] = [];
  readonly #text: string;
  readonly #lookup: Lookup;
  #at = 0;

  constructor(text: string, lookup: Lookup) {
    this.#text = text;
    this.#lookup = lookup;
  }

  read(): void {
    while (this.#at < this.#text.length) {
      this.#skip(blanks);
      const character = this.#text[this.#at];
      if (character === undefined) return;
      if (character !== "\n" && character !== "#") this.#statement();
      this.#at = this.#lineEnd() + 1;
    }
  }

  #statement(): void {
    const start = this.#at;
    // A variable can have the name `export` itself.
    if (/^export[\t ]+[^\s=:]/.test(this.#text.slice(start, start + 80))) this.#at += "export".length;
    this.#skip(blanks);
    const name = this.#skip(nameCharacters);
    this.#skip(blanks);
    const next = this.#text[this.#at];
    if (name !== "" && (next === "\n" || next === undefined || next === "#")) {
      const value = this.#lookup(name);
      if (value !== undefined) this.variables.set(name, value);
      return;
    }
    if (name === "" || (next !== "=" && next !== ":")) {
      const separator = this.#text.slice(start, this.#lineEnd()).search(/[=:]/);
      const end = separator > 0 ? start + separator : separator === 0 ? start + 1 : this.#lineEnd();
      this.#find(start, end, "Invalid variable name", "Write NAME=value; start comments with `#`.");
      return;
    }
    this.#at++;
    this.#skip(blanks);
    const quote = this.#text[this.#at];
    const value = quote === "'" || quote === '"' ? this.#quoted(quote) : this.#plain();
    if (value !== undefined) this.variables.set(name, value);
  }

  #plain(): string {
    // The blank before a comment may be the one after `=`.
    const start = this.#at;
    const line = this.#text.slice(start - 1, this.#lineEnd());
    const comment = line.search(/[\t\v\f ]#/);
    const value = (comment === -1 ? line : line.slice(0, comment)).slice(1).trimEnd();
    const { value: interpolated, findings } = interpolate(value, (name) => this.#variable(name));
    for (const finding of findings) this.findings.push({ ...finding, offset: start + finding.offset });
    return interpolated;
  }

  #quoted(quote: "'" | '"'): string | undefined {
    const start = this.#at;
    let value = "";
    for (let at = start + 1; at < this.#text.length; at++) {
      const character = this.#text[at] ?? "";
      if (character === quote) {
        this.#at = at + 1;
        this.#endOfQuoted();
        return quote === "'" ? value : this.#interpolated(value, start);
      }
      const next = this.#text[at + 1] ?? "";
      const escaped =
        character === "\\" ? (quote === '"' ? escapes[next] : next === "'" ? next : undefined) : undefined;
      value += escaped ?? character;
      if (escaped !== undefined) at++;
    }
    this.#at = start;
    this.#find(
      start,
      this.#lineEnd(),
      "The quote is not closed",
      `Close it with ${quote}, or escape a literal quote as \\${quote}.`,
    );
    return undefined;
  }

  /** Escapes move characters about, so that findings are placed at the whole value. */
  #interpolated(value: string, start: number): string {
    const { value: interpolated, findings } = interpolate(value, (name) => this.#variable(name));
    for (const finding of findings) this.findings.push({ ...finding, offset: start, length: this.#at - start });
    return interpolated;
  }

  #endOfQuoted(): void {
    const end = this.#at;
    this.#skip(blanks);
    const next = this.#text[this.#at];
    if (next === undefined || next === "\n" || next === "#") return;
    this.#find(
      this.#at,
      this.#lineEnd(),
      "Unexpected text after the closing quote",
      "Quote the whole value, or start a comment with `#`.",
    );
    this.#at = end;
  }

  #variable(name: string): string | undefined {
    return this.#lookup(name) ?? this.variables.get(name);
  }

  #find(start: number, end: number, message: string, fix: string): void {
    const length = this.#text.slice(start, end).trimEnd().length;
    this.findings.push({ code: "pipeline/invalid-env-file", message, fix, offset: start, length });
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #lineEnd(): number {
    const end = this.#text.indexOf("\n", this.#at);
    return end === -1 ? this.#text.length : end;
  }
}
