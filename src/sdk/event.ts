/**
 * A received event. Immutable; the payload is valid as long as the event is referenced. A reference to either keeps the whole
 * batch in memory, up to two thousand events or 1 MiB: copy what you need for longer.
 */
export interface Event {
  /** Unique within the pipeline, the same on every replay. */
  readonly id: string;
  readonly type: string;
  /** The content. Do not modify it: other events may share the memory. */
  readonly payload: Uint8Array;
  readonly metadata: Readonly<Record<string, string>>;
  /** The event time; undefined if not set. */
  readonly timestamp: Date | undefined;
  /** Id of the component that created the event. */
  readonly sourceComponentId: string;
  /** Media type of the payload; may be empty. */
  readonly contentType: string;
  /** Id of the upstream component that sent the event: one of the inputs of this component. */
  readonly upstream: string;
  /** Size of the whole event on the wire, in bytes. */
  readonly size: number;
  /** The payload parsed as JSON. Throws `sdk/payload-not-json`. Parses on each call. */
  json(): unknown;
  /** The payload as UTF-8 text. */
  text(): string;
}

/** A new event. Set `json` or `payload`, or neither. */
export interface EventInit {
  readonly id?: string | undefined;
  readonly type?: string | undefined;
  /** Any value that JSON.stringify accepts; the content type is `application/json`. */
  readonly json?: unknown;
  /** Bytes, or a string to encode as UTF-8. */
  readonly payload?: Uint8Array | string | undefined;
  readonly contentType?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** The event time; null for none. */
  readonly timestamp?: Date | null | undefined;
  /** Id of the component that created the event, for sources that forward events. Default: this component. */
  readonly sourceComponentId?: string | undefined;
}
