/** So many of the last lines of a log hold the stack of an error, and what it says above it. */
export const TELLING_TAIL = 100;

const NODE_VERSION = /^Node\.js v\d/;
const CARET = /^\s*\^+\s*$/;
const STACK = /^\s+at |^\s*\}$/;
const ERROR = /^(?:Uncaught |Exception in thread |[\w.$]*(?:Error|Exception|Rejection)\b)/;
const TRACEBACK = /^Traceback \(most recent call last\):/;
/** A message of Python may have further lines; more than these were printed after it. */
const MESSAGE_LINES = 3;

/**
 * The one of the last lines that a program printed which says most of why it ended: the error of Node.js, Python or Java above
 * or below its stack, else the last line that is not blank. Empty where there is none. Pure.
 */
export function tellingLine(texts: readonly string[]): string {
  const lines = texts.filter((text) => text.trim() !== "");
  const last = lines.at(-1) ?? "";
  const isNode = NODE_VERSION.test(last);
  const caret = isNode ? lines.findLastIndex((line) => CARET.test(line)) : -1;
  if (caret >= 0 && caret < lines.length - 2) return lines[caret + 1] ?? last;
  if (isNode || STACK.test(last)) return lines.findLast((line) => ERROR.test(line)) ?? last;
  const traceback = lines.findLastIndex((line) => TRACEBACK.test(line));
  const raised = traceback < 0 ? -1 : lines.findIndex((line, at) => at > traceback && /^\S/.test(line));
  return (raised >= lines.length - MESSAGE_LINES ? lines[raised] : undefined) ?? last;
}
