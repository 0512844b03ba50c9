/**
 * Splits a command line into argv as Compose does: blanks separate, single quotes keep everything, double quotes keep
 * all but a backslash before `"`, `\`, `$` and a backquote, a backslash keeps the next character. Nothing is expanded.
 * Undefined when a quote is never closed.
 */
export function splitShellWords(line: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  while (at < line.length) {
    const character = line[at++] ?? "";
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'") {
      const end = line.indexOf("'", at);
      if (end === -1) return undefined;
      word = (word ?? "") + line.slice(at, end);
      at = end + 1;
    } else if (character === '"') {
      word ??= "";
      for (;;) {
        if (at >= line.length) return undefined;
        const inner = line[at++] ?? "";
        if (inner === '"') break;
        word += inner === "\\" && /["\\$`]/.test(line[at] ?? "") ? (line[at++] ?? "") : inner;
      }
    } else if (character === "\\") {
      if (at >= line.length) return undefined;
      word = (word ?? "") + (line[at++] ?? "");
    } else {
      word = (word ?? "") + character;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
