import { stripVTControlCharacters } from "node:util";
import wrapAnsi from "wrap-ansi";
import type { OutputStream } from "../dependencies.ts";

/** What a continued line begins under leaves it at least this share of the terminal. */
const SHARE = 0.5;

/**
 * The text for this stream: on a terminal, lines that are too long for it are broken between words, and go on under the last column that
 * begins in their first half (columns are two spaces apart), or two spaces further in. Elsewhere the text as it is.
 */
export function fitLines(text: string, stream: Pick<OutputStream, "isTTY" | "columns">): string {
  const width = stream.isTTY === true ? (stream.columns ?? 0) : 0;
  if (width === 0) return text;
  return text
    .split("\n")
    .map((line) => fitLine(line, width))
    .join("\n");
}

function fitLine(line: string, width: number): string {
  const visible = stripVTControlCharacters(line);
  if (visible.length <= width) return line;
  const columns = line === visible ? [...visible.slice(0, width * SHARE).matchAll(/ {2,}(?=\S)/g)] : [];
  const last = columns.at(-1);
  const begin = last === undefined ? 0 : last.index + last[0].length;
  const indent = begin === 0 ? 2 : begin;
  const rest = wrapAnsi(line.slice(begin), width - indent);
  return line.slice(0, begin) + rest.replaceAll("\n", `\n${" ".repeat(indent)}`);
}
