/** Says of a path, relative to the context and with slashes, whether a `.dockerignore` leaves it out. */
export type IgnoreRule = (path: string) => boolean;

interface Pattern {
  readonly negated: boolean;
  readonly expression: RegExp;
}

/**
 * Compiles a `.dockerignore`: patterns of Go's `filepath.Match` plus `**`, the last one that matches a path or one of its
 * parents decides, `!` takes back, `#` comments. An invalid pattern matches nothing.
 */
export function compileDockerignore(text: string): { readonly ignores: IgnoreRule; readonly hasExceptions: boolean } {
  const patterns = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .filter((line) => !line.startsWith("#"))
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "!")
    .map(compile);
  return {
    hasExceptions: patterns.some(({ negated }) => negated),
    ignores: (path) => {
      const parts = path.split("/");
      const prefixes = parts.map((_, at) => parts.slice(0, at + 1).join("/"));
      let ignored = false;
      for (const { negated, expression } of patterns) {
        if (prefixes.some((prefix) => expression.test(prefix))) ignored = !negated;
      }
      return ignored;
    },
  };
}

function compile(line: string): Pattern {
  const negated = line.startsWith("!");
  const pattern = (negated ? line.slice(1) : line).trim().replace(/^\/+/, "").replace(/^\.\//, "").replace(/\/+$/, "");
  return { negated, expression: toExpression(pattern) };
}

function toExpression(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at] as string;
    if (char === "*" && pattern[at + 1] === "*") {
      while (pattern[at + 1] === "*") at++;
      if (pattern[at + 1] === "/") at++;
      // At the end everything, else any number of folders: `**b` is `b` wherever it lies, and not `ab`.
      source += at + 1 === pattern.length ? ".*" : "(?:.*/)?";
    } else if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "[") {
      const end = pattern.indexOf("]", at + 1);
      if (end < 0) return /(?!)/;
      source += `[${pattern.slice(at + 1, end).replace(/\\/g, "\\\\")}]`;
      at = end;
    } else {
      const literal = char === "\\" ? (pattern[++at] ?? "\\") : char;
      source += literal.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    }
  }
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return /(?!)/;
  }
}
