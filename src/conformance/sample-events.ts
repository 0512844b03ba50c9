import { FlowctlError, messageOf } from "../foundation/errors.ts";
import type { EventMessage } from "./messages.ts";

/** An event to feed a processor or sink with, as the author writes it. */
export interface SampleEvent {
  readonly type?: string;
  /** The content as JSON; content type `application/json`. */
  readonly json?: unknown;
  /** The content as text, instead of `json`. */
  readonly payload?: string;
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** The component cannot process it: what becomes of it is for `on_error` to say. */
  readonly fails?: boolean;
}

const known = new Set(["type", "json", "payload", "contentType", "metadata", "fails"]);

/**
 * Reads sample events, one JSON object a line: `{"type": "quake.v1", "json": {"mag": 5.1}}`. Empty lines are skipped.
 * Throws `conformance/bad-sample` with the line's number.
 */
export function parseSampleEvents(text: string, file = "events"): SampleEvent[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    const bad = (message: string) =>
      new FlowctlError({
        code: "conformance/bad-sample",
        kind: "invalid",
        message,
        fix: 'Write one JSON object a line, with "type", "json" or "payload", "contentType", "metadata" and "fails"',
        position: { file, line: index + 1, column: 1 },
      });
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw bad(`This line is not JSON: ${messageOf(error)}`);
    }
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw bad("This line is not a JSON object");
    const unknown = Object.keys(value).find((key) => !known.has(key));
    if (unknown !== undefined) throw bad(`A sample event has no "${unknown}"`);
    return [value as SampleEvent];
  });
}

/** What a component is fed with when its author gives nothing. */
export const defaultSamples: readonly SampleEvent[] = [
  { json: { id: 1, name: "alpha", value: 1.5, ok: true } },
  { json: { id: 2, name: "beta", value: 20, ok: false } },
  { json: { id: 3, name: "gamma", value: 300.25, ok: true } },
];

/** What many components cannot process, when the author names nothing of that kind: it says JSON, and is none. */
export const probablyFailing: SampleEvent = { payload: "{this is not JSON", contentType: "application/json" };

/** The sample as a message; its id is filled in when it is sent. */
export function sampleMessage(sample: SampleEvent): EventMessage {
  const text = sample.payload ?? (sample.json === undefined ? "" : JSON.stringify(sample.json));
  return {
    id: "",
    type: sample.type ?? "conformance.v1",
    payload: Buffer.from(text),
    metadata: { ...sample.metadata },
    timestamp: { seconds: 1_700_000_000, nanos: 0 },
    sourceComponentId: "above",
    contentType: sample.contentType ?? (sample.payload === undefined ? "application/json" : "text/plain"),
  };
}
