import type { Document, Node, YAMLError } from "yaml";
import { visit } from "yaml";
import type { ProblemList } from "../problem.ts";
import type { SourceFile } from "./source-file.ts";

/** What to say about each kind of syntax error that the YAML parser knows. */
const explanations: Readonly<Record<string, { readonly message: string; readonly fix: string }>> = {
  ALIAS_PROPS: { message: "An alias cannot have an anchor or a tag", fix: "Remove the anchor or the tag." },
  BAD_DQ_ESCAPE: {
    message: "Invalid escape sequence in a double-quoted string",
    fix: "Write `\\\\` for a backslash, or use single quotes.",
  },
  BAD_INDENT: { message: "Inconsistent indentation", fix: "Indent all lines of a block equally, with spaces." },
  BAD_PROP_ORDER: { message: "Misplaced anchor or tag", fix: "Put it directly before the value." },
  BAD_SCALAR_START: {
    message: "An unquoted value cannot start with this character",
    fix: "Quote the value.",
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: "A key cannot follow another key on the same line or be indented under a value",
    fix: "Check the indentation, and quote values that contain `: `.",
  },
  BLOCK_IN_FLOW: {
    message: "Brackets cannot contain an indented block",
    fix: "Use brackets throughout, or indentation throughout.",
  },
  KEY_OVER_1024_CHARS: { message: "A key cannot be longer than 1024 characters", fix: "Check for a missing `:`." },
  MISSING_CHAR: { message: "Syntax error", fix: "Add the missing character." },
  MULTILINE_IMPLICIT_KEY: {
    message: "A key must be on a single line",
    fix: "Check the indentation, or the `:` after the key.",
  },
  MULTIPLE_ANCHORS: { message: "A value can have only one anchor", fix: "Remove one of them." },
  MULTIPLE_DOCS: {
    message: "The file contains more than one YAML document",
    fix: "Remove the `---` line, or move the rest to a separate file and add it with another `-f`.",
  },
  MULTIPLE_TAGS: { message: "A value can have only one tag", fix: "Remove one of them." },
  TAB_AS_INDENT: { message: "Tabs cannot be used for indentation", fix: "Use spaces." },
  TAG_RESOLVE_FAILED: { message: "Malformed tag", fix: "Remove it, or quote the value." },
  UNEXPECTED_TOKEN: {
    message: "Unexpected text",
    fix: "Check the indentation and brackets, or quote the value.",
  },
};

/** Keeps a report readable: what follows the first errors of a broken text is mostly their consequence. */
const maximumSyntaxProblems = 5;

/** Turns the parser's errors into problems; at most one a line, and none after one that puts the rest in doubt. */
export function reportSyntax(file: SourceFile, document: Document<Node, boolean>, problems: ProblemList): void {
  const lines = new Set<number>();
  for (const error of document.errors) {
    const [start, end] = error.pos;
    const line = file.lineStarts.findLastIndex((lineStart) => lineStart <= start);
    if (lines.has(line)) continue;
    if (lines.size >= maximumSyntaxProblems) return;
    lines.add(line);
    const opened =
      variableInBrackets(file, line) ??
      ternaryInBrackets(file, error) ??
      unclosed(file, document, error) ??
      unspaced(file, line);
    const known = explanations[error.code] ?? { message: error.message, fix: "Fix the YAML syntax." };
    const detail = error.code === "MISSING_CHAR" || error.code === "BAD_INDENT" ? `: ${lowerFirst(error.message)}` : "";
    const at = opened?.at;
    problems.add(at === undefined ? { file, start, end } : { file, start: at, end: at + 1 }, {
      code: error.code === "MULTIPLE_DOCS" ? "pipeline/several-documents" : "pipeline/yaml-syntax",
      message: opened?.message ?? known.message + detail,
      fix: opened?.fix ?? known.fix,
    });
    if (opened?.at !== undefined) return;
    if (error.code === "UNEXPECTED_TOKEN") return;
  }
}

interface Explanation {
  readonly message: string;
  readonly fix: string;
  /** Where the mistake is rather than where the parser noticed it. */
  readonly at?: number;
}

/** A bracket or quote that is never closed is noticed at its end, and made at its beginning. */
function unclosed(file: SourceFile, document: Document<Node, boolean>, error: YAMLError): Explanation | undefined {
  if (error.code !== "MISSING_CHAR" && error.code !== "BAD_INDENT") return undefined;
  const [noticed] = error.pos;
  let quote: number | undefined;
  visit(document, {
    Scalar(_, node) {
      if (!node.type?.startsWith("QUOTE") || !node.range) return;
      if (node.range[0] < noticed && node.range[2] >= noticed) quote = node.range[0];
    },
  });
  if (quote !== undefined) {
    return { at: quote, message: "Unclosed quote", fix: "Add the closing quote." };
  }
  const open: number[] = [];
  const text = file.text
    .slice(0, noticed)
    .replaceAll(/"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(?:^|\s)#.*$/gm, (quoted) => " ".repeat(quoted.length));
  for (const { 0: bracket, index } of text.matchAll(/[[\]{}]/g)) {
    if (bracket === "[" || bracket === "{") open.push(index);
    else open.pop();
  }
  const at = open.at(-1);
  if (at === undefined) return undefined;
  const closing = file.text[at] === "[" ? "]" : "}";
  return { at, message: "Unclosed bracket", fix: `Add \`${closing}\` where it ends.` };
}

/** `uses:filter`, a text to YAML, where a key was meant. */
function unspaced(file: SourceFile, line: number): Explanation | undefined {
  const text = file.text.slice(file.lineStarts[line], file.lineStarts[line + 1]).trim();
  const [, key, value] = /^(?:- )?([a-z_]+):([^\s/:][^:]*)$/.exec(text) ?? [];
  if (key === undefined) return undefined;
  return { message: `\`${key}:\` is not followed by a space`, fix: `Write \`${key}: ${value}\`.` };
}

/** `{ count: ${COUNT} }` is not YAML, and what the parser says about it does not help. */
function variableInBrackets(file: SourceFile, line: number): Explanation | undefined {
  const start = file.lineStarts[line] ?? 0;
  const text = file.text.slice(start, file.lineStarts[line + 1] ?? file.text.length);
  if (!/[[{].*?[[{,:]\s*[^"'\s,[\]{}]*\$\{/.test(text)) return undefined;
  return { message: "A value with `${…}` inside brackets must be quoted", fix: 'Quote it: "${NAME}".' };
}

/** `{ where: a ? b : c }` is not YAML either: within brackets, `?` and `:` are part of it. */
function ternaryInBrackets(file: SourceFile, { code, pos: [start, end] }: YAMLError): Explanation | undefined {
  if (code !== "BLOCK_IN_FLOW" && code !== "UNEXPECTED_TOKEN" && code !== "BLOCK_AS_IMPLICIT_KEY") return undefined;
  const lineStart = file.text.lastIndexOf("\n", start - 1) + 1;
  const lineEnd = file.text.indexOf("\n", start);
  const line = file.text.slice(lineStart, lineEnd < 0 ? undefined : lineEnd);
  const bracket = line.search(/[[{]/);
  const then = bracket < 0 ? -1 : line.indexOf(" ? ", bracket);
  if (then < 0 || line.indexOf(":", then) < 0) return undefined;
  const isWhole = code === "BLOCK_IN_FLOW" && end <= lineStart + line.length && start < lineStart + then;
  const value = isWhole ? file.text.slice(start, end).trim() : "";
  const message = "A value with `? :` inside brackets must be quoted";
  if (value === "") return { message, fix: "Quote the whole value, as in `'a ? 1 : 2'`." };
  return { message, fix: `Quote it: \`${value.includes("'") ? JSON.stringify(value) : `'${value}'`}\`.` };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
