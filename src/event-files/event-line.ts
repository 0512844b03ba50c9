import { isUtf8 } from "node:buffer";

/** What a line of an event file says of an event. An event of the SDK is one. */
export interface FileEvent {
  readonly id: string;
  readonly type: string;
  readonly payload: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
  readonly timestamp: Date | undefined;
  readonly sourceComponentId: string;
  /** Media type of the payload; may be empty. */
  readonly contentType: string;
}

/** The fields of a line, besides its payload. */
interface Head {
  readonly id: string;
  readonly type: string;
  readonly timestamp?: string;
  readonly source: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly content_type?: string;
  readonly payload_base64?: string;
}

const JSON_TYPE = "application/json";
const payloadKey = ',"payload":';

/**
 * Everything of an event as a JSON object on one line, without its line break. Never throws, and loses nothing but what of
 * the time is below a millisecond: `readEventLine` gives the same event back, its payload byte for byte. A JSON payload
 * stands in it as it was written; text as a string; what is neither, whatever its content type says, as base64.
 */
export function eventLine(event: FileEvent): string {
  const { payload, contentType } = event;
  if (payload.length === 0) return JSON.stringify(headOf(event));
  const text = isUtf8(payload) ? bufferOf(payload).toString("utf8") : undefined;
  if (text !== undefined && isJsonType(contentType)) {
    const value = parse(text);
    if (value !== undefined) {
      // The payload comes last, so that the reader finds its very characters again.
      if (!/[\n\r]/.test(text)) return withPayload(headOf(event), text);
      return withPayload({ ...headOf(event), payload_base64: base64Of(payload) }, JSON.stringify(value));
    }
  } else if (text !== undefined && isTextType(contentType)) return withPayload(headOf(event), JSON.stringify(text));
  return JSON.stringify({ ...headOf(event), payload_base64: base64Of(payload) });
}

/** The event that a line was made of by `eventLine`; undefined when it is no such line. */
export function readEventLine(line: string): FileEvent | undefined {
  const value = parse(line);
  if (!isHead(value)) return undefined;
  const contentType = value.content_type ?? JSON_TYPE;
  return {
    id: value.id,
    type: value.type,
    payload: payloadOf(line, value, contentType),
    metadata: value.metadata ?? {},
    timestamp: value.timestamp === undefined ? undefined : new Date(value.timestamp),
    sourceComponentId: value.source,
    contentType,
  };
}

/** Whether a payload of this content type is JSON. One that does not say is taken for it. */
export function isJsonType(contentType: string): boolean {
  if (contentType === JSON_TYPE || contentType === "") return true;
  const mediaType = contentType.split(";", 1)[0]!.trim().toLowerCase();
  return mediaType === JSON_TYPE || mediaType.endsWith("+json");
}

function isTextType(contentType: string): boolean {
  return contentType.startsWith("text/");
}

function headOf(event: FileEvent): Head {
  const { metadata, timestamp, contentType } = event;
  return {
    id: event.id,
    type: event.type,
    ...(timestamp === undefined ? {} : { timestamp: timestamp.toISOString() }),
    source: event.sourceComponentId,
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(contentType === JSON_TYPE ? {} : { content_type: contentType }),
  };
}

function withPayload(head: Head, json: string): string {
  return `${JSON.stringify(head).slice(0, -1)}${payloadKey}${json}}`;
}

function payloadOf(line: string, { payload, ...head }: Head & { payload?: unknown }, contentType: string): Uint8Array {
  if (head.payload_base64 !== undefined) return Buffer.from(head.payload_base64, "base64");
  if (payload === undefined) return new Uint8Array();
  if (!isJsonType(contentType)) return Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
  const before = withPayload(head, "").slice(0, -1);
  // A line that another program wrote anew has its payload as that program writes JSON.
  const asWritten = line.startsWith(before) && line.endsWith("}");
  return Buffer.from(asWritten ? line.slice(before.length, -1) : JSON.stringify(payload));
}

function isHead(value: unknown): value is Head {
  if (typeof value !== "object" || value === null) return false;
  const { id, type, source, timestamp, metadata, content_type, payload_base64 } = value as Record<string, unknown>;
  const texts = metadata ?? {};
  return (
    [id, type, source].every(isText) &&
    [timestamp, content_type, payload_base64].every((one) => one === undefined || isText(one)) &&
    (timestamp === undefined || !Number.isNaN(Date.parse(String(timestamp)))) &&
    typeof texts === "object" &&
    Object.values(texts).every(isText)
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** Undefined for what is no JSON; no JSON text means undefined. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function base64Of(payload: Uint8Array): string {
  return bufferOf(payload).toString("base64");
}

function bufferOf(payload: Uint8Array): Buffer {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.length);
}
