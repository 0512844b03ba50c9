import { isUtf8 } from "node:buffer";
import type { Output } from "../display/output.ts";
import type { StoredLetter } from "./letter-files.ts";

/** One line of `list`. Plain data. */
export interface LetterSummary {
  readonly id: string;
  readonly type: string;
  readonly component: string;
  readonly upstream: string;
  readonly sink: string;
  readonly attempts: number;
  readonly time: string;
  readonly reason: string;
  /** Null while it was not. */
  readonly replayedAt: string | null;
}

export function summaryOf({ sink, letter, replayedAt }: StoredLetter): LetterSummary {
  const { event, component, upstream, attempts, time, reason } = letter;
  return {
    id: event.id,
    type: event.type,
    component,
    upstream,
    sink: sink.id,
    attempts,
    time,
    reason,
    replayedAt: replayedAt ?? null,
  };
}

/** Everything of a letter. The payload as JSON or text where it is, and always as base64. */
export function letterDocument(stored: StoredLetter): Record<string, unknown> {
  const { event } = stored.letter;
  return {
    ...summaryOf(stored),
    source: event.sourceComponentId,
    timestamp: event.timestamp?.toISOString() ?? null,
    metadata: event.metadata,
    contentType: event.contentType,
    payload: contentOf(event.payload) ?? null,
    payloadBase64: Buffer.from(event.payload).toString("base64"),
  };
}

/** For people. */
export function letterText(stored: StoredLetter, output: Output): string {
  const { event, component, upstream, attempts, time, reason } = stored.letter;
  const rows: readonly (readonly [string, string])[] = [
    ["id", event.id],
    ["type", event.type],
    ["component", upstream === "" ? component : `${component}, from ${upstream}`],
    ["reason", reason],
    ["attempts", String(attempts)],
    ["given up", time],
    ["replayed", stored.replayedAt ?? "no"],
    ["kept by", stored.sink.id],
    ["made by", event.sourceComponentId],
    ["timestamp", event.timestamp?.toISOString() ?? "-"],
    ["content type", event.contentType],
    ...Object.entries(event.metadata).map(([key, value]) => [`metadata ${key}`, value] as const),
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  const lines = rows.map(([title, value]) => `${output.paint.bold(title.padEnd(width))}  ${value}`);
  const content = contentOf(event.payload);
  const payload = typeof content === "string" ? content : JSON.stringify(content, undefined, 2);
  return [...lines, "", payload ?? `base64: ${Buffer.from(event.payload).toString("base64")}`].join("\n");
}

/** JSON parsed, else text; undefined for other bytes. */
function contentOf(payload: Uint8Array): unknown {
  if (!isUtf8(payload)) return undefined;
  const text = Buffer.from(payload).toString("utf8");
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
