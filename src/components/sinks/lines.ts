import { eventLine, type FileEvent, isJsonType } from "../../event-files/event-line.ts";
import type { Event } from "../../sdk/index.ts";
import { FlowctlError } from "../../sdk/index.ts";

const newline = 0x0a;

/** Turns an event into one line, without its line break. Throws when that cannot be done: a bad event. */
export type Line = (event: Event) => Uint8Array | string;

/** The payload alone. JSON that spans lines is written anew on one; other content that does is refused. */
export const payloadLine: Line = (event) => {
  if (!event.payload.includes(newline)) return event.payload;
  if (isJsonType(event.contentType)) return JSON.stringify(event.json());
  throw new FlowctlError({
    code: "components/payload-spans-lines",
    kind: "invalid",
    message: `the payload of event ${event.id} (${event.contentType || "no content type"}) contains line breaks and cannot be written as one line`,
    fix: "use format: event, which encodes the payload",
  });
};

/** For people: time, type and payload. */
export const prettyLine: Line = (event) => {
  const time = event.timestamp === undefined ? "-" : event.timestamp.toISOString();
  return `${time}  ${event.type}  ${contentOf(event)}`;
};

/** What a payload says, on one line. */
function contentOf(event: FileEvent): string {
  const { payload, payload_base64: bytes } = JSON.parse(eventLine(event)) as Record<string, unknown>;
  if (payload === undefined) return typeof bytes === "string" ? bytes : "";
  return typeof payload === "string" ? payload : JSON.stringify(payload);
}

/** The lines of all events, each with its line break, in one piece of memory. */
export function joinLines(events: readonly Event[], line: Line): Buffer {
  const lines = events.map(line);
  let size = lines.length;
  for (const one of lines) size += typeof one === "string" ? Buffer.byteLength(one) : one.length;
  const joined = Buffer.allocUnsafe(size);
  let end = 0;
  for (const one of lines) {
    if (typeof one === "string") end += joined.write(one, end);
    else {
      joined.set(one, end);
      end += one.length;
    }
    joined[end++] = newline;
  }
  return joined;
}
