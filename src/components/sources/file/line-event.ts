import type { EventInit } from "../../../sdk/index.ts";
import type { BadLines } from "./bad-lines.ts";
import type { Line } from "./line-splitter.ts";

/** Makes the event of a line, under this id. */
export type LineEvent = (line: Line, id: string) => EventInit | undefined;

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** How lines become events. Undefined: nothing comes of the line (it is blank, or bad and skipped). */
export function lineEvents(format: "jsonl" | "lines", type: string, bad: BadLines, maxBytes: number): LineEvent {
  const event = format === "jsonl" ? jsonEvent : textEvent;
  return (line, id) => {
    if (line.tooLong) {
      bad.report(line.number, `the line exceeds ${maxBytes} bytes (max_line_bytes)`);
      return undefined;
    }
    return event(line, id, type, bad);
  };
}

/** The bytes of the line are the payload as they are; they are parsed only to know that they are JSON. */
function jsonEvent(line: Line, id: string, type: string, bad: BadLines): EventInit | undefined {
  try {
    const content = text.decode(line.bytes);
    if (content.trim() === "") return undefined;
    JSON.parse(content);
  } catch (error) {
    bad.report(line.number, `invalid JSON: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
  return { id, type, payload: line.bytes, contentType: "application/json" };
}

function textEvent(line: Line, id: string, type: string): EventInit {
  return { id, type, payload: line.bytes, contentType: "text/plain" };
}
