import type { Place } from "./source-file.ts";
import type { SourceNode } from "./source-node.ts";

/**
 * Where the character at `offset` of a text is in its file. Quotes, folding and indentation are reckoned with; where
 * escapes or variables make that impossible it is the place of the whole text.
 */
export function placeInScalar(node: SourceNode, offset: number | undefined): Place {
  const { file, start, end } = node.place;
  if (offset === undefined || node.kind !== "scalar" || typeof node.value !== "string") return node.place;
  const raw = file.text.slice(start, end);
  if (raw.includes("\\") || raw.includes("$") || raw.includes("''")) return node.place;
  let at = start;
  if (raw.startsWith("|") || raw.startsWith(">")) at += raw.indexOf("\n") + 1;
  else if (raw.startsWith('"') || raw.startsWith("'")) at += 1;
  let letters = node.value.slice(0, Math.max(0, offset)).replaceAll(/\s/g, "").length;
  for (; at < end; at++) {
    if (/\s/.test(file.text[at] ?? "")) continue;
    if (letters-- === 0) return { file, start: at, end: Math.min(at + 1, end) };
  }
  return { file, start: Math.max(start, end - 1), end };
}
