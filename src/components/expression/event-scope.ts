import type { Event } from "../../sdk/index.ts";
import { ExpressionCompiler } from "./expression.ts";

/** What expressions over events can name, with the sentence the docs say about it. */
export const eventVariables = {
  payload: { type: "dyn", describes: "the payload: decoded JSON, a string for `text/*`, otherwise bytes" },
  id: { type: "string", describes: "the event id" },
  type: { type: "string", describes: "the event type" },
  metadata: { type: "map<string, string>", describes: "the event metadata" },
  timestamp: { type: "dyn", describes: "the event time, as a timestamp; null if not set" },
  source: { type: "string", describes: "id of the component that created the event" },
  content_type: { type: "string", describes: "media type of the payload" },
} as const;

/** A compiler of expressions over events. */
export function eventExpressions(): ExpressionCompiler {
  const types: Record<string, string> = {};
  for (const [name, variable] of Object.entries(eventVariables)) types[name] = variable.type;
  return new ExpressionCompiler(types);
}

/**
 * The variables of one event at a time. Made once and moved from event to event by `reset`, so that evaluating costs no
 * allocation; the payload is decoded when an expression first reads it, and once per event.
 */
export class EventScope {
  #event: Event | undefined;
  #payload: unknown;
  #decoded = false;

  reset(event: Event): void {
    this.#event = event;
    this.#payload = undefined;
    this.#decoded = false;
  }

  /** Throws `sdk/payload-not-json` when it says that it is JSON and is not. */
  get payload(): unknown {
    if (this.#decoded) return this.#payload;
    this.#payload = decode(this.#current);
    this.#decoded = true;
    return this.#payload;
  }

  get id(): string {
    return this.#current.id;
  }

  /** `type`, under the name that expressions look it up by (see type-variable.ts). */
  get event_type(): string {
    return this.#current.type;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#current.metadata;
  }

  get timestamp(): Date | null {
    return this.#current.timestamp ?? null;
  }

  get source(): string {
    return this.#current.sourceComponentId;
  }

  get content_type(): string {
    return this.#current.contentType;
  }

  get #current(): Event {
    if (this.#event === undefined) throw new Error("EventScope.reset was not called");
    return this.#event;
  }
}

function decode(event: Event): unknown {
  const contentType = event.contentType;
  if (contentType === "application/json" || contentType === "") return event.json();
  const mediaType = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (mediaType === "application/json" || mediaType.endsWith("+json")) return event.json();
  if (mediaType.startsWith("text/")) return event.text();
  // A Buffer is no bytes value to CEL; its plain view is.
  return new Uint8Array(event.payload.buffer, event.payload.byteOffset, event.payload.byteLength);
}
