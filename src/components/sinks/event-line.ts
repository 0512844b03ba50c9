import type { Event } from "../../sdk/index.ts";
import { FlowctlError } from "../../sdk/index.ts";

const newline = 0x0a;

/** Turns an event into one line, without its line break. Throws when that cannot be done: a bad event. */
export type EventLine = (event: Event) => Uint8Array | string;

/** The payload alone. JSON that spans lines is written anew on one; other content that does is refused. */
export const payloadLine: EventLine = (event) => {
  if (!event.payload.includes(newline)) return event.payload;
  if (isJson(event.contentType)) return JSON.stringify(event.json());
  throw new FlowctlError({
    code: "components/payload-spans-lines",
    kind: "invalid",
    message: `the payload of event ${event.id} (${event.contentType || "no content type"}) has line breaks and cannot be one line`,
    fix: "use format: event, which encodes it",
  });
};

/** Everything of the event as a JSON object: JSON payloads as they are, text as text, else base64. */
export const eventLine: EventLine = (event) =>
  JSON.stringify({
    id: event.id,
    type: event.type,
    ...(event.timestamp === undefined ? {} : { timestamp: event.timestamp.toISOString() }),
    source: event.sourceComponentId,
    ...(Object.keys(event.metadata).length === 0 ? {} : { metadata: event.metadata }),
    ...content(event),
  });

/** For people: time, type and payload. */
export const prettyLine: EventLine = (event) => {
  const time = event.timestamp === undefined ? "-" : event.timestamp.toISOString();
  const { payload, payload_base64: bytes } = content(event);
  return `${time}  ${event.type}  ${bytes ?? (typeof payload === "string" ? payload : JSON.stringify(payload))}`;
};

function content(event: Event): { payload?: unknown; payload_base64?: string; content_type?: string } {
  if (isJson(event.contentType)) return { payload: event.json() };
  if (event.contentType.startsWith("text/")) return { content_type: event.contentType, payload: event.text() };
  return { content_type: event.contentType, payload_base64: Buffer.from(event.payload).toString("base64") };
}

function isJson(contentType: string): boolean {
  if (contentType === "application/json" || contentType === "") return true;
  const mediaType = contentType.split(";", 1)[0]!.trim().toLowerCase();
  return mediaType === "application/json" || mediaType.endsWith("+json");
}

/** The lines of all events, each with its line break, in one piece of memory. */
export function joinLines(events: readonly Event[], line: EventLine): Buffer {
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
