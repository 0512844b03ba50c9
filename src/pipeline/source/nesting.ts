/**
 * An upper estimate of how deep a YAML text nests, from its brackets and indentation alone. The YAML parser is
 * recursive and can end the process on a text that is nested thousands deep, so it must not see one.
 */
export function nestingOf(text: string): { readonly depth: number; readonly offset: number } {
  const indents: number[] = [];
  let flow = 0;
  let deepest = { depth: 0, offset: 0 };
  let lineStart = 0;
  while (lineStart <= text.length) {
    const newline = text.indexOf("\n", lineStart);
    const lineEnd = newline === -1 ? text.length : newline;
    let at = lineStart;
    while (at < lineEnd && isBlank(text.charCodeAt(at))) at++;
    if (at < lineEnd && text[at] !== "#") {
      const indent = at - lineStart;
      while ((indents.at(-1) ?? -1) >= indent) indents.pop();
      indents.push(indent);
      let indicators = 0;
      for (; at < lineEnd; at++) {
        const character = text[at];
        if (character === "[" || character === "{") flow++;
        else if (character === "]" || character === "}") flow = Math.max(0, flow - 1);
        else if ((character === "-" || character === "?" || character === ":") && isIndicator(text, at)) indicators++;
        const depth = indents.length + indicators + flow;
        if (depth > deepest.depth) deepest = { depth, offset: at };
      }
    }
    lineStart = lineEnd + 1;
  }
  return deepest;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d;
}

function isIndicator(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at + 1);
  const starts = at === 0 || isBlank(before) || before === 0x0a;
  return starts && (at + 1 >= text.length || isBlank(after) || after === 0x0a);
}
